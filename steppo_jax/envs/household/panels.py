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

from steppo_jax.envs import drawing, hashing
from steppo_jax.envs.base import PANELS
from steppo_jax.envs.drawing import pick
from steppo_jax.envs.household import rules
from steppo_jax.envs.household.rules import Task

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
    drawing.check_name(panel, PANELS)


def _draw(bits: jax.Array, panel: str) -> Task:
    """A task from random bits [_NUM_BITS] uint32; `in_panel` may still refuse it."""
    goals = jnp.asarray(_UNSEEN if panel == "unseen" else _KNOWN)
    storage, num_places = jnp.asarray(rules.STORAGE), len(rules.STORAGE)

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
    return drawing.sample(
        key, _NUM_BITS, lambda b: _draw(b, panel), lambda t: in_panel(t, panel)
    )


@functools.cache
def _frozen(name: str) -> Task:
    return drawing.frozen(
        PANELS.index(name),
        _NUM_BITS,
        lambda b: _draw(b, name),
        lambda t: in_panel(t, name),
    )


def frozen(name: str) -> Task:
    """The 512 tasks of a panel, stacked on the first axis, no two alike."""
    check_name(name)
    return jax.tree.map(jnp.asarray, _frozen(name))
