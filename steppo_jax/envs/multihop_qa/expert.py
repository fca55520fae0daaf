"""A scripted policy that reads only what the observation shows."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax.envs.multihop_qa import language, rules
from steppo_jax.envs.multihop_qa.rules import NONE


def _read(passages: jax.Array, entity: jax.Array, relation: jax.Array) -> jax.Array:
    """[] tail of (entity, relation) if a passage in sight says it, else NONE."""
    facts = jnp.asarray(rules.FACTS)[passages]
    match = (facts[:, 0] == entity) & (facts[:, 1] == relation) & (passages >= 0)
    return jnp.max(jnp.where(match, facts[:, 2], NONE))


def clean_action(state: rules.State) -> jax.Array:
    """[ACTION_LENGTH] tokens: follow the chain; search where it breaks, or answer."""
    task, passages = state.task, state.passages

    def follow(carry, relation):
        at, gap = carry
        tail = _read(passages, at, relation)
        asked = (relation != NONE) & (gap == NONE)
        moved = jnp.where(asked & (tail != NONE), tail, at)
        return (moved, jnp.where(asked & (tail == NONE), relation, gap)), None

    start = (task.entities[0], jnp.int32(NONE))
    (at, gap), _ = jax.lax.scan(follow, start, task.relations)
    values = jax.vmap(lambda e: _read(passages, e, task.relations[0]))(task.entities)
    later = task.entities[(values[1] > values[0]).astype(jnp.int32)]
    compares = task.hops == 0
    nothing = jnp.int32(NONE)
    both = jnp.stack([task.entities, jnp.full(2, task.relations[0])], 1).reshape(-1)
    queries = jnp.where(compares, both, jnp.stack([at, gap, nothing, nothing]))
    known = jnp.where(compares, jnp.all(values != NONE), gap == NONE)
    reply = jnp.where(known, jnp.where(compares, later, at), NONE)
    return language.say_tokens(queries, reply)


def noisy_action(state: rules.State, key: jax.Array, noise: float) -> jax.Array:
    """The same; with chance `noise` a random search or answer. Consumes key."""
    chance, kind, entity_key, relation_key = jax.random.split(key, 4)
    entity = jax.random.randint(entity_key, (2,), 0, rules.NUM_ENTITIES)
    relation = jax.random.randint(relation_key, (2,), 0, rules.NUM_RELATIONS)
    answers = jax.random.bernoulli(kind, 0.2)
    stray = language.say_tokens(
        jnp.stack([entity, relation], 1).reshape(-1),
        jnp.where(answers, entity[0], NONE),
    )
    noisy = jax.random.uniform(chance) < noise
    return jnp.where(noisy, stray, clean_action(state))
