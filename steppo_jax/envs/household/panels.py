"""Which tasks exist and which panel each of them belongs to.

A task is a goal and a place for every object. Goals come in the six families of
ALFWorld: put an object as it is, clean, hot or cold, put two, look at one under the
lamp. One goal of every family and kind appears in `unseen` only (of the looks, one
kind), with every word in it known from other goals; of the rest a hash sends one
task in eight to `seen` and the others to `train`. So no task is ever in two panels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import drawing, hashing
from steppo_jax.envs.base import PANELS
from steppo_jax.envs.drawing import pick
from steppo_jax.envs.household import rules
from steppo_jax.envs.household.rules import Task

SEEN_ONE_IN = 8
# (verb, attribute) of every family
FAMILIES = (
    *((rules.PUT_ONE, a) for a in range(4)),
    (rules.PUT_TWO, 0),
    (rules.LOOK, 0),
)
_NUM_PLACES, _NUM_BITS = len(rules.STORAGE), 2 + rules.NUM_OBJECTS


def _goals(unseen: bool) -> list[np.ndarray]:
    """By family, rows [n, 4] int32 (verb, attribute, kind, receptacle)."""
    goals: list[list] = [[] for _ in FAMILIES]
    for family, (verb, attribute) in enumerate(FAMILIES):
        for kind in range(rules.NUM_KINDS):
            for place, receptacle in enumerate(rules.STORAGE):
                held_out = (2 * kind + family) % _NUM_PLACES == place
                if verb == rules.LOOK:
                    held_out = rules.KINDS[kind] == "egg"
                    if receptacle != rules.LAMP_PLACE:
                        continue
                if held_out == unseen:
                    goals[family].append((verb, attribute, kind, receptacle))
    return [np.array(rows, np.int32) for rows in goals]


def _padded(goals: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(goals [families, most, 4], how many of them each family has)."""
    most = max(map(len, goals))
    return np.stack([np.resize(g, (most, 4)) for g in goals]), np.array(
        list(map(len, goals)), np.uint32
    )


UNSEEN_GOALS, KNOWN_GOALS = np.concatenate(_goals(True)), np.concatenate(_goals(False))
_UNSEEN, _KNOWN = _padded(_goals(True)), _padded(_goals(False))


def _draw(bits: jax.Array, panel: str) -> Task:
    """A task from random bits [_NUM_BITS] uint32; `in_panel` may still refuse it."""
    goals, number = _UNSEEN if panel == "unseen" else _KNOWN
    family = pick(bits[0], len(FAMILIES))
    row = (bits[1] % jnp.asarray(number)[family]).astype(jnp.int32)
    verb, attribute, kind, receptacle = jnp.asarray(goals)[family, row]
    task = Task(verb, attribute, kind, receptacle, jnp.zeros(rules.NUM_OBJECTS))
    # What is wanted goes to one of the places that are not the goal.
    storage, places = jnp.asarray(rules.STORAGE), bits[2:]
    goal_place = jnp.argmax(storage == receptacle)
    elsewhere = (goal_place + 1 + pick(places, _NUM_PLACES - 1)) % _NUM_PLACES
    kept_away = rules.wanted(task) & (verb != rules.LOOK)
    chosen = jnp.where(kept_away, elsewhere, pick(places, _NUM_PLACES))
    return task.replace(object_location=storage[chosen])


def in_panel(task: Task, panel: str) -> jax.Array:
    """[] bool, whether a task belongs to `panel`. Every task belongs to one."""
    goal = jnp.stack(
        [task.goal_verb, task.goal_attribute, task.goal_kind, task.goal_receptacle]
    )
    is_unseen = jnp.any(jnp.all(goal[None, :] == UNSEEN_GOALS, axis=1))
    number = hashing.fold(jnp.concatenate([goal, task.object_location]))
    is_seen = number % np.uint32(SEEN_ONE_IN) == 0
    return {
        "unseen": is_unseen,
        "seen": ~is_unseen & is_seen,
        "train": ~is_unseen & ~is_seen,
    }[panel]


TASKS = drawing.Panels(PANELS, _NUM_BITS, _draw, in_panel)
