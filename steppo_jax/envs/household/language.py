"""The words of the household, and its responses (`envs.responses`).

What a response says must be one action, word for word; anything else is malformed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import responses
from steppo_jax.envs.household import rules
from steppo_jax.vocabulary import Vocabulary

NO_WORD = "."  # stands in a slot of the observation that has nothing to say
THOUGHTS = ("think", "hmm", "now", "next")  # what the expert thinks
RESULTS = ("ok", "nothing", "unrecognised", NO_WORD)  # in the order of rules.OK …
_FRAME = ("goal", "in", "step", "at", "hold", "see", "last", "act")
_SIGHTS = ("room", "closed", "off", "on")


def _words(texts) -> list[str]:
    return [word for text in texts for word in text.split()]


WORDS = (
    NO_WORD,
    *_FRAME,
    *_SIGHTS,
    *rules.VERBS,
    *_words(rules.ACTIONS),
    *rules.ATTRIBUTES,
    *RESULTS,
    *THOUGHTS,
)


def step_word(num_steps: int) -> str:
    return f"s{num_steps}"


def vocabulary(max_steps: int) -> Vocabulary:
    """All words. Those of the steps come last, so `max_steps` moves no other id."""
    return Vocabulary.of([*WORDS, *map(step_word, range(max_steps + 1))])


ID = vocabulary(0).id
ACTION_LENGTH = max(len(text.split()) for text in rules.ACTIONS) + 1  # and <eos>
ACTION_TOKENS = np.stack(
    [
        vocabulary(0).encode(f"{text} <eos>", length=ACTION_LENGTH)
        for text in rules.ACTIONS
    ]
)


def response_length(think_tokens: int) -> int:
    """Places a response needs: a thought and its ';', the action, <eos>."""
    return responses.length(ACTION_LENGTH, think_tokens)


def action_of(response: jax.Array) -> jax.Array:
    """[] int32, the action a response [L] means, or MALFORMED."""
    spoken = responses.spoken(response, ACTION_LENGTH)
    match = jnp.all(jnp.asarray(ACTION_TOKENS) == spoken[None, :], axis=1)
    # Every action holds its <eos>, so none can match by its beginning alone.
    return jnp.where(jnp.any(match), jnp.argmax(match), rules.MALFORMED).astype(
        jnp.int32
    )


def say(action: jax.Array, key: jax.Array, think_tokens: int) -> jax.Array:
    """[response_length] tokens: thought, ';', the action. Consumes key."""
    thoughts = jnp.asarray([ID[word] for word in THOUGHTS], jnp.int32)
    action_tokens = jnp.asarray(ACTION_TOKENS)[action]
    return responses.say(action_tokens, key, think_tokens, thoughts)


def tokens_of(text: str, words: Vocabulary, think_tokens: int) -> jax.Array:
    """[response_length] tokens of text; what cannot be said is malformed."""
    return responses.tokens_of(text, words, response_length(think_tokens))
