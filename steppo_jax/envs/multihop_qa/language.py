"""The words, and responses: `search E [R] [E [R]]` or `answer E`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import responses
from steppo_jax.envs.multihop_qa import rules
from steppo_jax.vocabulary import EOS, PAD, Vocabulary

NO_WORD = "."
THOUGHTS = ("think", "hmm", "now", "next")
_FRAME = ("question", "follow", "later", "step", "queries", "passages", "act")
ACTION_LENGTH = 6


def _names() -> list[str]:
    """One word per entity; the last letter says its type, years are numbers."""
    names = []
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    for i in range(rules.NUM_HEADS):
        first, second = divmod(i * 1601 % 4900, 70)  # 1601 and 4900 share no factor
        last = rules.TYPES[rules.TYPE_OF[i]][2]
        names.append(syllables[first] + syllables[second] + last)
    return names + [f"{1940 + i}" for i in range(rules.COUNTS[-1])]


ENTITY_NAMES = _names()
RELATION_NAMES = [name for name, _, _ in rules.RELATIONS]
WORDS = (NO_WORD, *_FRAME, "search", "answer", *THOUGHTS)
WORDS = (*WORDS, *RELATION_NAMES, *ENTITY_NAMES)


def vocabulary(max_steps: int) -> Vocabulary:
    """All words; those of the steps come last."""
    return Vocabulary.of([*WORDS, *(f"s{i}" for i in range(max_steps + 1))])


ID = vocabulary(0).id
NONE_ID, RELATION_0 = ID[NO_WORD], ID[RELATION_NAMES[0]]
ENTITY_0 = ID[ENTITY_NAMES[0]]


def entity_token(entity: jax.Array) -> jax.Array:
    return jnp.where(entity < 0, NONE_ID, ENTITY_0 + entity)


def relation_token(relation: jax.Array) -> jax.Array:
    return jnp.where(relation < 0, NONE_ID, RELATION_0 + relation)


def _index(token, start, number):
    inside = (token >= start) & (token < start + number)
    return jnp.where(inside, token - start, rules.NONE).astype(jnp.int32)


def action_of(response: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(queries [4], answer []), NONE where not said; all NONE if malformed."""
    said = responses.spoken(response, ACTION_LENGTH)
    said = jnp.concatenate([said, jnp.full(2, PAD, said.dtype)])
    entity = _index(said, ENTITY_0, rules.NUM_ENTITIES)
    relation = _index(said, RELATION_0, rules.NUM_RELATIONS)
    second = jnp.where(relation[2] >= 0, 3, 2)
    has_second = entity[second] >= 0
    relation_2 = jnp.where(has_second, relation[second + 1], rules.NONE)
    end = second + has_second + (relation_2 >= 0)
    searches = (said[0] == ID["search"]) & (entity[1] >= 0) & (said[end] == EOS)
    queries = jnp.stack([entity[1], relation[2], entity[second], relation_2])
    answers = (said[0] == ID["answer"]) & (said[2] == EOS)
    return (
        jnp.where(searches, queries, rules.NONE).astype(jnp.int32),
        jnp.where(answers, entity[1], rules.NONE).astype(jnp.int32),
    )


def say_tokens(queries: jax.Array, answer: jax.Array) -> jax.Array:
    """[ACTION_LENGTH] tokens of an action; what is NONE is not said."""
    e, r = entity_token(queries[::2]), relation_token(queries[1::2])
    words = jnp.stack([jnp.int32(ID["search"]), e[0], r[0], e[1], r[1], EOS])
    kept = words != NONE_ID
    words = jnp.where(kept, words, PAD)[jnp.argsort(~kept, stable=True)]
    reply = jnp.full(ACTION_LENGTH, PAD).at[0].set(ID["answer"])
    reply = reply.at[1].set(entity_token(answer)).at[2].set(EOS)
    return jnp.where(answer != rules.NONE, reply, words).astype(jnp.int32)


def say(action: jax.Array, key: jax.Array, think_tokens: int) -> jax.Array:
    """[response_length] tokens: thought, ';', the action. Consumes key."""
    thoughts = jnp.asarray(np.array([ID[w] for w in THOUGHTS], np.int32))
    return responses.say(action, key, think_tokens, thoughts)
