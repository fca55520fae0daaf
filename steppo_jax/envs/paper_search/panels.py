"""Which queries exist and which panel each of them belongs to.

A query has three topics of one area; its answer set has 12 to 24 papers. One pair
of topics in ten is held out: queries with such a pair are `unseen`, though every
topic is known from others. Of the rest a hash sends one query in four to `seen`
and the others to `train`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import drawing, hashing
from steppo_jax.envs.base import PANELS
from steppo_jax.envs.drawing import pick
from steppo_jax.envs.paper_search import graph
from steppo_jax.envs.paper_search.graph import AREA_SIZE, NUM_AREAS, NUM_TOPICS
from steppo_jax.envs.paper_search.rules import Task

SEEN_ONE_IN = 4
HELD_OUT_ONE_IN = 10  # of pairs of topics
ANSWERS = (12, 24)  # least and most
_NUM_BITS = 4
_LOW, _HIGH = np.array([[0, 0, 1], [1, 2, 2]])  # the three pairs of a query


def _draw(bits: jax.Array, panel: str) -> Task:
    """Topics from bits [_NUM_BITS] uint32; `in_panel` may still refuse them."""
    del panel  # all panels draw alike
    places = jnp.stack([pick(bits[i], AREA_SIZE) for i in range(3)])
    return Task(jnp.sort(pick(bits[3], NUM_AREAS) * AREA_SIZE + places))


def held_out(low: jax.Array, high: jax.Array) -> jax.Array:
    """[...] bool, whether queries with this pair of topics (low < high) are unseen."""
    number = hashing.mix((low * NUM_TOPICS + high).astype(jnp.uint32))
    return number % np.uint32(HELD_OUT_ONE_IN) == 0


def in_panel(task: Task, panel: str) -> jax.Array:
    """[] bool, whether a task belongs to `panel`. No task belongs to two."""
    topics = task.topics
    size = jnp.asarray(graph.NUM_ANSWERS)[tuple(topics)]
    is_query = jnp.all(topics[1:] > topics[:-1])
    is_query &= (size >= ANSWERS[0]) & (size <= ANSWERS[1])
    is_unseen = jnp.any(held_out(topics[_LOW], topics[_HIGH]))
    is_seen = hashing.fold(topics) % np.uint32(SEEN_ONE_IN) == 0
    return (
        is_query
        & {
            "unseen": is_unseen,
            "seen": ~is_unseen & is_seen,
            "train": ~is_unseen & ~is_seen,
        }[panel]
    )


TASKS = drawing.Panels(PANELS, _NUM_BITS, _draw, in_panel)
