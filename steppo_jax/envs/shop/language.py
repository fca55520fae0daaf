"""The words of the shop, and its responses (`envs.responses`).

An action is `search` and one to five words of the catalogue, or `click` and one
thing that can be clicked somewhere; anything else is malformed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import responses
from steppo_jax.envs.shop import catalogue, rules
from steppo_jax.envs.shop.catalogue import NO_WORD, QUERY_WORDS
from steppo_jax.envs.shop.rules import CLICKS, QUERY_LENGTH, Action
from steppo_jax.vocabulary import EOS, PAD, Vocabulary

EMPTY = "."  # stands in a slot of the observation that has nothing to say
THOUGHTS = ("think", "hmm", "now", "then")  # what the expert thinks
RESULTS = ("ok", "nothing", "unrecognised", EMPTY)  # in the order of rules.OK …
RESULTS_PAGES = ("first", "second")
FRAME = ("goal", "step", "page", "query", "see", "offers", "chosen", "last", "act")
WORDS = (
    EMPTY,
    *FRAME,
    *("search", "click"),
    *catalogue.PRICES,
    *QUERY_WORDS,
    *(word for word in CLICKS if word not in QUERY_WORDS),
    *rules.PAGES,
    *RESULTS_PAGES,
    *RESULTS,
    *THOUGHTS,
)


def step_word(num_steps: int) -> str:
    return f"s{num_steps}"


def vocabulary(max_steps: int) -> Vocabulary:
    """All words. Those of the steps come last, so `max_steps` moves no other id."""
    return Vocabulary.of([*WORDS, *map(step_word, range(max_steps + 1))])


ID = vocabulary(0).id
ACTION_LENGTH = QUERY_LENGTH + 2  # "search", the words, <eos>
QUERY_TOKENS = np.array([ID[word] for word in QUERY_WORDS] + [PAD], np.int32)
CLICK_TOKENS = np.array([ID[word] for word in CLICKS], np.int32)
# By token: which of QUERY_WORDS, of CLICKS; those of neither (the step words too,
# which read as the last row) give the number of words there are.
_AS_QUERY = np.full(len(ID), NO_WORD, np.int32)
_AS_QUERY[QUERY_TOKENS[:-1]] = np.arange(NO_WORD)
_AS_CLICK = np.full(len(ID), len(CLICKS), np.int32)
_AS_CLICK[CLICK_TOKENS] = np.arange(len(CLICKS))


def response_length(think_tokens: int) -> int:
    """Places a response needs: a thought and its ';', the action, <eos>."""
    return responses.length(ACTION_LENGTH, think_tokens)


def action_of(response: jax.Array) -> Action:
    """The action a response [L] means."""
    spoken = responses.spoken(response, ACTION_LENGTH)
    known = jnp.minimum(spoken, len(ID) - 1)
    places = jnp.arange(ACTION_LENGTH)
    has_end = jnp.any(spoken == EOS)
    end = jnp.argmax(spoken == EOS)
    query = jnp.asarray(_AS_QUERY)[known]
    inside = (places > 0) & (places < end)
    is_query = has_end & (end > 1) & jnp.all(~inside | (query < NO_WORD))
    click = jnp.asarray(_AS_CLICK)[known[1]]
    is_click = has_end & (end == 2) & (click < len(CLICKS))
    kind = jnp.select(
        [(spoken[0] == ID["search"]) & is_query, (spoken[0] == ID["click"]) & is_click],
        [rules.SEARCH, rules.CLICK],
        rules.MALFORMED,
    )
    return canonical(
        kind, click, jnp.where(inside, query, NO_WORD)[1 : QUERY_LENGTH + 1]
    )


def canonical(kind: jax.Array, click: jax.Array, query: jax.Array) -> Action:
    """An action whose unused parts say nothing, so that equal actions are equal."""
    return Action(
        kind=jnp.asarray(kind, jnp.int32),
        click=jnp.where(kind == rules.CLICK, click, 0).astype(jnp.int32),
        query=jnp.where(kind == rules.SEARCH, query, NO_WORD).astype(jnp.int32),
    )


def tokens(action: Action) -> jax.Array:
    """[ACTION_LENGTH] int32: an action with its <eos>, padded."""
    words = jnp.asarray(QUERY_TOKENS)[action.query]
    no_words = jnp.full(QUERY_LENGTH - 1, PAD, jnp.int32)
    clicked = jnp.concatenate([jnp.asarray(CLICK_TOKENS)[action.click][None], no_words])
    is_search = action.kind == rules.SEARCH
    verb = jnp.where(is_search, ID["search"], ID["click"])[None]
    said = jnp.where(is_search, words, clicked)
    line = jnp.concatenate([verb, said, jnp.full(1, PAD)]).astype(jnp.int32)
    end = 1 + jnp.sum(said != PAD)
    spoken = jnp.where(jnp.arange(ACTION_LENGTH) == end, EOS, line)
    # "Not an action" is said as nothing.
    nothing = jnp.full(ACTION_LENGTH, PAD, jnp.int32).at[0].set(EOS)
    return jnp.where(action.kind == rules.MALFORMED, nothing, spoken)


def say(action: Action, key: jax.Array, think_tokens: int) -> jax.Array:
    """[response_length] tokens: thought, ';', the action. Consumes key."""
    thoughts = jnp.asarray([ID[word] for word in THOUGHTS], jnp.int32)
    return responses.say(tokens(action), key, think_tokens, thoughts)
