"""Which tasks exist and which panel each of them belongs to.

A task takes its wishes from an item. One item in eight is held out: `unseen` has
the tasks that held-out items alone satisfy, and the other panels those that none
of them does; a hash sends one of the latter in eight to `seen` and the others to
`train`. Tasks that items of both sorts satisfy are in no panel.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import drawing, hashing
from steppo_jax.envs.base import PANELS
from steppo_jax.envs.drawing import pick
from steppo_jax.envs.shop import catalogue, rules
from steppo_jax.envs.shop.rules import Task

SEEN_ONE_IN = 8
HELD_OUT_ONE_IN = 8
SLACK = 4  # a limit is up to so many levels, less one, above the price
_COUNTER = np.arange(catalogue.NUM_ITEMS, dtype=np.uint32) + np.uint32(1 << 30)
HELD_OUT = hashing.mix(_COUNTER) % np.uint32(HELD_OUT_ONE_IN) == 0
_ITEMS = {
    held_out: np.flatnonzero(held_out == HELD_OUT).astype(np.int32)
    for held_out in (False, True)
}
_NUM_BITS = 5


def _draw(bits: jax.Array, panel: str) -> Task:
    """A task from random bits [_NUM_BITS] uint32; `in_panel` may still refuse it."""
    items = jnp.asarray(_ITEMS[panel == "unseen"])
    item = items[pick(bits[0], len(items))]
    attributes = jnp.asarray(catalogue.ITEM_ATTRIBUTES)[item]
    left_out = pick(bits[1], catalogue.ATTRIBUTES_PER_ITEM)
    kept = jnp.arange(catalogue.ATTRIBUTES_PER_ITEM - 1)
    colours = jnp.asarray(catalogue.ITEM_COLOURS)[item]
    sizes = jnp.asarray(catalogue.ITEM_SIZES)[item]
    limit = jnp.asarray(catalogue.PRICE)[item] + pick(bits[4], SLACK)
    return Task(
        type=jnp.asarray(catalogue.TYPE)[item],
        attributes=attributes[kept + (kept >= left_out)],
        colour=colours[pick(bits[2], catalogue.COLOURS_PER_ITEM)],
        size=sizes[pick(bits[3], catalogue.SIZES_PER_ITEM)],
        limit=jnp.minimum(limit, len(catalogue.PRICES) - 1),
    )


def in_panel(task: Task, panel: str) -> jax.Array:
    """[] bool, whether a task belongs to `panel`; it belongs to one at most."""
    items = rules.satisfying(task)
    known = ~jnp.any(items & HELD_OUT)
    unseen = ~jnp.any(items & ~HELD_OUT) & jnp.any(items)
    wishes = [task.type, *task.attributes, task.colour, task.size, task.limit]
    number = hashing.fold(jnp.stack(wishes))
    is_seen = number % np.uint32(SEEN_ONE_IN) == 0
    return {
        "unseen": unseen,
        "seen": known & is_seen,
        "train": known & ~is_seen,
    }[panel]


TASKS = drawing.Panels(PANELS, _NUM_BITS, _draw, in_panel)
