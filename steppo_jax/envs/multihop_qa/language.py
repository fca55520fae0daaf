"""The words, and responses: `search NAME RELATION [NAME RELATION]`, `answer NAME`.

A name is its two words. A search without a relation, or with a year, is malformed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import responses
from steppo_jax.envs.multihop_qa import world
from steppo_jax.envs.multihop_qa.world import NONE
from steppo_jax.vocabulary import EOS, PAD, Vocabulary

EMPTY = "."
SEARCH, ANSWER = "search", "answer"
THOUGHTS = ("think", "hmm", "now", "next")
FRAME = ("follow", "later", "query", "found", "act")  # words of the observation only
ACTION_LENGTH = 8  # search, two words of a name and a relation, twice, <eos>
_NAME_WORDS = [w for t in world.TYPES for w in world.FIRST_WORDS[t]]
_NAME_WORDS += [w for t in world.TYPES[:-1] for w in world.SECOND_WORDS[t]]
WORDS = (EMPTY, *FRAME, SEARCH, ANSWER, *THOUGHTS, *world.RELATION_NAMES, *_NAME_WORDS)


def vocabulary(max_steps: int) -> Vocabulary:
    """All words; those of the steps come last."""
    return Vocabulary.of([*WORDS, *(f"s{i}" for i in range(max_steps + 1))])


ID = vocabulary(0).id
EMPTY_ID, RELATION_0 = ID[EMPTY], ID[world.RELATION_NAMES[0]]
# [entities + 1, 2] and [relations + 1] tokens; NONE is the last row
NAME_TOKENS = np.array(
    [[ID[a], ID[b]] for a, b in [*world.NAMES, (EMPTY, EMPTY)]], np.int32
)
RELATION_TOKENS = np.array([ID[r] for r in (*world.RELATION_NAMES, EMPTY)], np.int32)


def _of_words() -> tuple[np.ndarray, np.ndarray]:
    """[words] what a first and a second word add up to; far below 0 if neither."""
    first, second = (np.full(len(ID), -world.NUM_ENTITIES) for _ in range(2))
    kind = np.full((2, len(ID)), NONE)
    for number, t in enumerate(world.TYPES[:-1]):
        width = len(world.SECOND_WORDS[t])
        for i, word in enumerate(world.FIRST_WORDS[t]):
            first[ID[word]], kind[0, ID[word]] = world.START[number] + i * width, number
        for i, word in enumerate(world.SECOND_WORDS[t]):
            second[ID[word]], kind[1, ID[word]] = i, number
    return np.stack([first, second]).astype(np.int32), kind


_ADDS, _KIND = _of_words()


def _name(words: jax.Array) -> jax.Array:
    """[] int32 entity that two words [2] name, or NONE; years are no names here."""
    known = (words >= 0) & (words < len(ID))
    words = jnp.where(known, words, PAD)
    kind = jnp.asarray(_KIND)[jnp.arange(2), words]
    entity = jnp.sum(jnp.asarray(_ADDS)[jnp.arange(2), words])
    return jnp.where((kind[0] == kind[1]) & (kind[0] != NONE), entity, NONE)


def _relation(word: jax.Array) -> jax.Array:
    inside = (word >= RELATION_0) & (word < RELATION_0 + world.NUM_RELATIONS)
    return jnp.where(inside, word - RELATION_0, NONE)


def action_of(response: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(queries [2, 2], answer []), NONE where not said; all NONE if malformed."""
    said = responses.spoken(response, ACTION_LENGTH)
    one, two = _name(said[1:3]), _name(said[4:6])
    asked = jnp.stack([one, _relation(said[3]), two, _relation(said[6])])
    asks_one = (said[0] == ID[SEARCH]) & (asked[0] != NONE) & (asked[1] != NONE)
    asks_two = asks_one & (asked[2] != NONE) & (asked[3] != NONE) & (said[7] == EOS)
    asks_one = asks_two | (asks_one & (said[4] == EOS))
    kept = jnp.stack([asks_one, asks_one, asks_two, asks_two])
    answers = (said[0] == ID[ANSWER]) & (said[3] == EOS)
    queries = jnp.where(kept, asked, NONE).reshape(2, 2)
    return queries.astype(jnp.int32), jnp.where(answers, one, NONE).astype(jnp.int32)


def say_tokens(queries: jax.Array, answer: jax.Array) -> jax.Array:
    """[ACTION_LENGTH] tokens: of the answer unless it is NONE, else of the search."""
    names = jnp.asarray(NAME_TOKENS)
    relations = jnp.asarray(RELATION_TOKENS)[queries[:, 1]]
    asked = jnp.concatenate([names[queries[:, 0]], relations[:, None]], axis=1)
    blank = jnp.full(ACTION_LENGTH, PAD, jnp.int32)
    two = blank.at[0].set(ID[SEARCH]).at[1:7].set(asked.reshape(-1)).at[7].set(EOS)
    one = blank.at[:4].set(two[:4]).at[4].set(EOS)
    reply = blank.at[0].set(ID[ANSWER]).at[1:3].set(names[answer]).at[3].set(EOS)
    search = jnp.where(queries[1, 0] != NONE, two, one)
    return jnp.where(answer != NONE, reply, search)


def say(action: jax.Array, key: jax.Array, think_tokens: int) -> jax.Array:
    """[response_length] tokens: thought, ';', the action. Consumes key."""
    thoughts = jnp.asarray(np.array([ID[w] for w in THOUGHTS], np.int32))
    return responses.say(action, key, think_tokens, thoughts)
