"""The words of the paper search, and its responses (`envs.responses`).

An action is `search` with one to three topics, or `expand` with the name of a
shown paper. The order of searched topics does not matter, and saying one twice
adds nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import responses
from steppo_jax.envs.paper_search import graph, rules
from steppo_jax.envs.paper_search.graph import MOST_ANSWERS, NO_TOPIC, TOPICS
from steppo_jax.vocabulary import EOS, PAD, Vocabulary

NO_WORD = "."  # stands in a slot of the observation that has nothing to say
THOUGHTS = ("think", "hmm", "now", "next")  # what the expert thinks
KINDS = ("search", "expand", "unclear", NO_WORD)  # as rules.SEARCH …
RESULTS = ("ok", "nothing", "unrecognised", NO_WORD)  # as rules.OK …
SLOTS = tuple(f"e{i + 1}" for i in range(rules.NUM_SHOWN))
DONE = "done"  # stands for the name of a shown paper that is expanded
NUMBERS = tuple(f"n{i}" for i in range(MOST_ANSWERS + 1))
FRAME = ("query", "step", "past", "papers", "found", "last", "act", DONE)
WORDS = (NO_WORD, *FRAME, *KINDS, *RESULTS, *NUMBERS, *SLOTS, *THOUGHTS, *TOPICS)


def step_word(num_steps: int) -> str:
    return f"s{num_steps}"


def vocabulary(max_steps: int) -> Vocabulary:
    """All words. Those of the steps come last, so `max_steps` moves no other id."""
    return Vocabulary.of([*WORDS, *map(step_word, range(max_steps + 1))])


ID = vocabulary(0).id
ACTION_LENGTH = 5  # search, three topics, <eos>
KIND_ID = np.array([ID[word] for word in KINDS], np.int32)
# By topic, NO_TOPIC last.
TOPIC_ID = np.array([ID[word] for word in (*TOPICS, NO_WORD)], np.int32)
FIRST_TOPIC, FIRST_SLOT = ID[TOPICS[0]], ID[SLOTS[0]]  # ids of both are runs


def response_length(think_tokens: int) -> int:
    """Places a response needs: a thought and its ';', the action, <eos>."""
    return responses.length(ACTION_LENGTH, think_tokens)


def rising(topics: jax.Array) -> jax.Array:
    """[3] topics in rising order, no topic twice, NO_TOPIC at the end."""
    topics = jnp.sort(topics)
    again = jnp.concatenate([jnp.zeros(1, bool), topics[1:] == topics[:-1]])
    return jnp.sort(jnp.where(again, NO_TOPIC, topics)).astype(jnp.int32)


def action_of(response: jax.Array) -> rules.Action:
    """The action a response [L] means; its kind is MALFORMED where it means none."""
    spoken = responses.spoken(response, ACTION_LENGTH)
    verb, rest = spoken[0], spoken[1:]
    is_end = rest == EOS
    num_words = jnp.argmax(is_end)
    whole = jnp.any(is_end)
    inside = jnp.arange(rest.shape[0]) < num_words
    topic = rest - FIRST_TOPIC
    is_topic = (topic >= 0) & (topic < graph.NUM_TOPICS)
    slot = rest[0] - FIRST_SLOT
    searches = (num_words > 0) & jnp.all(is_topic | ~inside)
    expands = (num_words == 1) & (slot >= 0) & (slot < rules.NUM_SHOWN)
    fits = jnp.stack([searches, expands]) & whole
    does = fits & (verb == KIND_ID[: rules.MALFORMED])
    kind = jnp.where(jnp.any(does), jnp.argmax(does), rules.MALFORMED)
    said = inside & is_topic & does[rules.SEARCH]
    return rules.Action(
        kind.astype(jnp.int32),
        rising(jnp.where(said, topic, NO_TOPIC)[:3]),
        jnp.where(does[rules.EXPAND], slot, 0).astype(jnp.int32),
    )


def say(action: rules.Action, key: jax.Array, think_tokens: int) -> jax.Array:
    """[response_length] tokens: thought, ';', the action. Consumes key."""
    topics = jnp.asarray(TOPIC_ID)[action.topics]
    slot = jnp.stack([FIRST_SLOT + action.slot, 0, 0])
    searches = action.kind == rules.SEARCH
    words = jnp.where(searches, topics, slot)
    said = jnp.sum(action.topics < NO_TOPIC)
    num_words = jnp.where(searches, said, 1)
    places = jnp.arange(ACTION_LENGTH - 1)
    rest = jnp.where(places < num_words, jnp.append(words, PAD), PAD)
    rest = jnp.where(places == num_words, EOS, rest)
    tokens = jnp.concatenate([jnp.asarray(KIND_ID)[action.kind][None], rest])
    thoughts = jnp.asarray([ID[word] for word in THOUGHTS], jnp.int32)
    return responses.say(tokens.astype(jnp.int32), key, think_tokens, thoughts)
