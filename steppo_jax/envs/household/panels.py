"""Which tasks exist and which panel each of them belongs to.

A task is a goal (object, attribute, receptacle) and a place for every object.
Twelve of the 72 goals appear in `unseen` only, with every word in them known
from other goals; of the rest a hash sends one task in eight to `seen` and the
others to `train`. So no task is ever in two panels.
"""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.base import PANELS
from steppo_jax.envs.household import rules
from steppo_jax.envs.household.rules import Task

PANEL_SIZE = 512
SEEN_ONE_IN = 8
# Each object three times, each attribute four times, each receptacle twice.
UNSEEN_GOALS = (
    ("mug", "any", "cabinet 1"),
    ("plate", "clean", "cabinet 1"),
    ("apple", "hot", "cabinet 2"),
    ("egg", "any", "cabinet 2"),
    ("mug", "clean", "drawer 1"),
    ("plate", "hot", "drawer 1"),
    ("apple", "any", "drawer 2"),
    ("egg", "clean", "drawer 2"),
    ("mug", "hot", "shelf 1"),
    ("plate", "any", "shelf 1"),
    ("apple", "clean", "shelf 2"),
    ("egg", "hot", "shelf 2"),
)
_STORAGE_NAMES = tuple(rules.RECEPTACLE_NAMES[i] for i in rules.STORAGE)
_GOALS = tuple(itertools.product(rules.OBJECTS, rules.ATTRIBUTES, _STORAGE_NAMES))


def _goal_ids(goals) -> np.ndarray:
    """[goals, 3] int32"""
    names = (rules.OBJECTS, rules.ATTRIBUTES, rules.RECEPTACLE_NAMES)
    return np.array([[n.index(w) for n, w in zip(names, g)] for g in goals], np.int32)


_UNSEEN = _goal_ids(UNSEEN_GOALS)
_KNOWN = _goal_ids([goal for goal in _GOALS if goal not in UNSEEN_GOALS])
_NUM_BITS = 2 + rules.NUM_OBJECTS


def check_name(panel: str) -> None:
    """ValueError unless `panel` is a panel."""
    if panel not in PANELS:
        raise ValueError(f"panel: {panel!r} is not one of {', '.join(PANELS)}")


def _draw(bits: jax.Array, panel: str) -> Task:
    """A task from random bits [_NUM_BITS] uint32; `in_panel` may still refuse it."""
    goals = jnp.asarray(_UNSEEN if panel == "unseen" else _KNOWN)
    storage, num_places = jnp.asarray(rules.STORAGE), len(rules.STORAGE)

    def pick(bits, number):  # the remainder's bias is below 1e-7
        return (bits % np.uint32(number)).astype(jnp.int32)

    goal_object, goal_attribute, goal_receptacle = goals[pick(bits[0], len(goals))]
    # The goal object goes to one of the places that are not the goal.
    goal_place = jnp.argmax(storage == goal_receptacle)
    elsewhere = (goal_place + 1 + pick(bits[1], num_places - 1)) % num_places
    is_goal = jnp.arange(rules.NUM_OBJECTS) == goal_object
    places = storage[jnp.where(is_goal, elsewhere, pick(bits[2:], num_places))]
    return Task(goal_object, goal_attribute, goal_receptacle, places)


def in_panel(task: Task, panel: str) -> jax.Array:
    """[] bool, whether a task belongs to `panel`. Every task belongs to one."""
    goal = jnp.stack([task.goal_object, task.goal_attribute, task.goal_receptacle])
    is_unseen = jnp.any(jnp.all(goal[None, :] == _UNSEEN, axis=1))
    number = hashing.fold(jnp.concatenate([goal, task.object_location]))
    is_seen = number % np.uint32(SEEN_ONE_IN) == 0
    return {
        "unseen": is_unseen,
        "seen": ~is_unseen & is_seen,
        "train": ~is_unseen & ~is_seen,
    }[panel]


def sample_task(key: jax.Array, panel: str) -> Task:
    """A random task of `panel`; jittable. Consumes key."""
    check_name(panel)

    def draw(key):
        key, bits_key = jax.random.split(key)
        return key, _draw(jax.random.bits(bits_key, (_NUM_BITS,), jnp.uint32), panel)

    def refused(carry):
        return ~in_panel(carry[1], panel)

    return jax.lax.while_loop(refused, lambda carry: draw(carry[0]), draw(key))[1]


@functools.cache
def _frozen(name: str) -> Task:
    """The tasks of a panel as NumPy arrays, in the order their hashes come."""
    first = PANELS.index(name) << 24  # panels draw from disjoint runs of a counter
    with jax.ensure_compile_time_eval():
        counter = first + jnp.arange(32 * PANEL_SIZE * _NUM_BITS, dtype=jnp.uint32)
        bits = hashing.mix(counter).reshape(-1, _NUM_BITS)
        drawn = jax.jit(jax.vmap(lambda b: _draw(b, name)))(bits)
        kept = np.asarray(jax.jit(jax.vmap(lambda t: in_panel(t, name)))(drawn))
    drawn = jax.tree.map(lambda x: np.asarray(x)[kept], drawn)
    rows = np.concatenate(
        [x.reshape(len(x), -1) for x in jax.tree.leaves(drawn)], axis=1
    )
    first_of_each = np.unique(rows, axis=0, return_index=True)[1]
    chosen = np.sort(first_of_each)[:PANEL_SIZE]
    return jax.tree.map(lambda x: x[chosen], drawn)


def frozen(name: str) -> Task:
    """The 512 tasks of a panel, stacked on the first axis, no two alike."""
    check_name(name)
    return jax.tree.map(jnp.asarray, _frozen(name))
