"""A scripted reader: it answers what it has read, and else asks what it lacks."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax.envs.multihop_qa import language, rules, world
from steppo_jax.envs.multihop_qa.world import NONE


def _read(passages: jax.Array, entity: jax.Array, relation: jax.Array) -> jax.Array:
    """[] tail of (entity, relation) if a passage in sight says it, else NONE."""
    head, of, tail = jnp.asarray(world.FACTS)[passages].T
    match = (head == entity) & (of == relation) & (passages != NONE)
    return jnp.max(jnp.where(match, tail, NONE))


def _follow(state: rules.State, entity, first) -> tuple[jax.Array, jax.Array]:
    """(entity, number of hops) as far as the passages in sight lead.

    Starts at `entity` before hop number `first`.
    """
    passages = state.passages.reshape(-1)

    def hop(carry, number):
        at, done = carry
        tail = _read(passages, at, state.task.relations[number])
        goes_on = (number == done) & (number < state.task.hops) & (tail != NONE)
        return (jnp.where(goes_on, tail, at), done + goes_on), None

    return jax.lax.scan(hop, (entity, first), jnp.arange(rules.MAX_HOPS))[0]


def clean_action(state: rules.State) -> jax.Array:
    """[ACTION_LENGTH] tokens of the expert's action; it sees what is in sight only.

    It follows the chain from the question's name, or, where the first passages are
    out of sight, from the last query if that asked for a relation of the chain; it
    answers at the end of the chain and else asks for the next hop. To compare it
    asks for both facts at once.
    """
    task, (entity, relation) = state.task, state.queries[0]
    from_start = _follow(state, task.entities[0], jnp.int32(0))
    is_asked = (task.relations == relation) & (relation != NONE)
    number = jnp.where(jnp.any(is_asked), jnp.argmax(is_asked), -1).astype(jnp.int32)
    from_query = _follow(state, entity, number)
    farther = from_query[1] > from_start[1]
    at, done = (jnp.where(farther, q, s) for q, s in zip(from_query, from_start))
    nothing = jnp.full(2, NONE, jnp.int32)
    next_hop = jnp.stack([at, task.relations[jnp.minimum(done, rules.MAX_HOPS - 1)]])
    chain = jnp.stack([next_hop, nothing]), jnp.where(done == task.hops, at, NONE)

    passages, asked = state.passages.reshape(-1), task.relations[0]
    value = jax.vmap(lambda e: _read(passages, e, asked))(task.entities)
    later = task.entities[(value[1] > value[0]).astype(jnp.int32)]
    both = jnp.stack([task.entities, jnp.full(2, asked)], axis=1)
    compare = both, jnp.where(jnp.all(value != NONE), later, NONE)

    is_chain = task.hops > 0
    queries, answer = (jnp.where(is_chain, a, b) for a, b in zip(chain, compare))
    return language.say_tokens(queries, answer)


def noisy_action(state: rules.State, key: jax.Array, noise: float) -> jax.Array:
    """The same; with chance `noise` a random search or answer. Consumes key."""
    chance, kind_key, entity_key, relation_key = jax.random.split(key, 4)
    entity = jax.random.randint(entity_key, (2,), 0, world.YEAR_0)
    relation = jax.random.randint(relation_key, (2,), 0, world.NUM_RELATIONS)
    kind = jax.random.randint(kind_key, (), 0, 5)  # one query, two, or an answer
    queries = jnp.stack([entity, relation], axis=1)
    queries = queries.at[1].set(jnp.where(kind < 2, NONE, queries[1]))
    stray = language.say_tokens(queries, jnp.where(kind == 4, entity[0], NONE))
    strays = jax.random.uniform(chance) < noise
    return jnp.where(strays, stray, clean_action(state))


def golden_steps(task: rules.Task) -> jax.Array:
    """[] int32, fewest steps of one who answers only what it has read.

    And asks only for names it has read: the search for the question shows the
    first hop, each search after it one hop more, however many queries it has (the
    next name stands in its passages), and the answer is a step: as many steps as
    hops, and for a comparison one search and the answer. `panels` refuses
    questions with a short cut.
    """
    return jnp.where(task.hops > 0, task.hops, 2).astype(jnp.int32)
