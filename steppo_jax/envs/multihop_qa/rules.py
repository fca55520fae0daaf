"""A question, the state of an episode, and what a search or an answer changes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax.envs.multihop_qa import index
from steppo_jax.envs.multihop_qa.world import NONE

MAX_HOPS, MAX_QUERIES = 4, 2


@struct.dataclass
class Task:
    """A question: where a chain of relations leads, or which of two is later."""

    hops: jax.Array  # [] int32, length of the chain; 0 is a comparison
    entities: jax.Array  # [2] int32; the second is NONE unless it compares
    relations: jax.Array  # [MAX_HOPS] int32 or NONE; a comparison has one
    answer: jax.Array  # [] int32 entity, hidden


@struct.dataclass
class State:
    """The whole state of an episode. A query is (entity, relation), or NONE twice."""

    task: Task
    queries: jax.Array  # [MAX_QUERIES, 2] int32, whose passages are in sight
    passages: jax.Array  # [MAX_QUERIES, TOP_K] int32 fact ids or NONE
    num_steps: jax.Array  # [] int32
    over: jax.Array  # [] bool
    answered: jax.Array  # [] bool
    correct: jax.Array  # [] bool


def initial_state(task: Task) -> State:
    """The state after the search that is made for the question itself.

    A query has room for one name, so that search has the question's first name and
    all its relations; it is shown as a query without relation.
    """
    task = jax.tree.map(lambda x: jnp.asarray(x, jnp.int32), task)
    first = task.entities[0]
    queries = jnp.full((MAX_QUERIES, 2), NONE, jnp.int32).at[0, 0].set(first)
    passages = jnp.full((MAX_QUERIES, index.TOP_K), NONE, jnp.int32)
    passages = passages.at[0].set(index.search(first, task.relations))
    no = jnp.bool_(False)
    return State(task, queries, passages, jnp.int32(0), no, no, no)


def apply(state: State, queries: jax.Array, answer: jax.Array) -> State:
    """After a search, an answer, or neither (a malformed response).

    Args:
      queries: [MAX_QUERIES, 2] int32; NONE where not asked, the second or both.
      answer: [] int32 entity, NONE unless this is an answer.

    Two queries replace what is in sight; after one the newest passages before it
    stay in sight. An answer ends the episode, and so does a malformed response.
    """
    found = jax.vmap(index.search)(queries[:, 0], queries[:, 1:])
    searches, two = queries[0, 0] != NONE, queries[1, 0] != NONE
    answered = answer != NONE

    def newest(now, before):
        second = jnp.where(two, now[1], before[0])
        return jnp.where(searches, jnp.stack([now[0], second]), before)

    return state.replace(
        queries=newest(queries, state.queries),
        passages=newest(found, state.passages),
        num_steps=state.num_steps + 1,
        over=~searches,
        answered=answered,
        correct=answered & (answer == state.task.answer),
    )
