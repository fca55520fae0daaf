"""Which questions exist and which panel each belongs to; none is in two.

A quarter of the entities is held out: no question of `train` or `seen` asks for a
fact about them, and the last fact of every `unseen` question is about one.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import drawing, hashing
from steppo_jax.envs.base import PANELS
from steppo_jax.envs.drawing import pick
from steppo_jax.envs.multihop_qa import rules
from steppo_jax.envs.multihop_qa.rules import MAX_HOPS, NONE, Task

NAMES = (*PANELS, "ood_relations", "ood_hops")
HELD_OUT = rules.scatter(np.arange(rules.NUM_ENTITIES) + 99991) % 4 == 0
_RELATION_HELD = np.array(
    [r in rules.HELD_OUT_RELATIONS for r, _, _ in rules.RELATIONS]
)
_HEAD_TYPE = np.array([rules.TYPE_NAMES.index(h) for _, h, _ in rules.RELATIONS])
_ORDINAL = np.array([t == "year" for _, _, t in rules.RELATIONS])
_COMPARED = np.flatnonzero(_ORDINAL)
_OPTIONS = [np.flatnonzero((t == _HEAD_TYPE) & ~_ORDINAL) for t in range(5)]
_NUM_OPTIONS = np.array([len(o) for o in _OPTIONS])
_OPTIONS = np.stack([np.resize(o, 3) for o in _OPTIONS])
_NUM_BITS = 8


def _chain(entity: jax.Array, relations: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(answer [], heads of the asked facts [MAX_HOPS])."""

    def follow(at, relation):
        return jnp.where(relation < 0, at, jnp.asarray(rules.TAIL)[at, relation]), at

    return jax.lax.scan(follow, entity, relations)


def _draw(bits: jax.Array, panel: str) -> Task:
    """A question from random bits [_NUM_BITS]; `belongs` may still refuse it."""
    start = pick(bits[1], rules.NUM_HEADS)

    def hop(at, bit):
        kind = jnp.asarray(rules.TYPE_OF)[at]
        chosen = (bit % jnp.asarray(_NUM_OPTIONS)[kind].astype(jnp.uint32)).astype(int)
        relation = jnp.asarray(_OPTIONS)[kind, chosen].astype(jnp.int32)
        return jnp.asarray(rules.TAIL)[at, relation], relation

    _, path = jax.lax.scan(hop, start, bits[2 : 2 + MAX_HOPS])
    hops = 3 + pick(bits[0], 2) if panel == "ood_hops" else jnp.int32(2)
    path = jnp.where(jnp.arange(MAX_HOPS) < hops, path, NONE)
    bridge = Task(
        hops, jnp.stack([start, jnp.int32(NONE)]), path, _chain(start, path)[0]
    )
    relation = jnp.asarray(_COMPARED)[pick(bits[2], len(_COMPARED))].astype(jnp.int32)
    kind = jnp.asarray(_HEAD_TYPE)[relation]
    number = jnp.asarray(rules.COUNTS)[kind].astype(jnp.uint32)
    pair = jnp.asarray(rules.STARTS)[kind] + (bits[3:5] % number).astype(jnp.int32)
    pair = pair.astype(jnp.int32)
    value = jnp.asarray(rules.TAIL)[pair, relation]
    only = jnp.full(MAX_HOPS, NONE, jnp.int32).at[0].set(relation)
    later = pair[(value[1] > value[0]).astype(jnp.int32)]
    compare = Task(jnp.int32(0), pair, only, later)
    compares = (pick(bits[7], 4) == 0) & (panel in PANELS)
    return jax.tree.map(lambda a, b: jnp.where(compares, a, b), compare, bridge)


def belongs(task: Task, panel: str) -> jax.Array:
    """[] bool, whether a task belongs to `panel`; it belongs to one at most."""
    held = jnp.asarray(HELD_OUT)
    asked = task.relations >= 0
    odd = jnp.any(asked & jnp.asarray(_RELATION_HELD)[task.relations])
    _, heads = _chain(task.entities[0], task.relations)
    compares = task.hops == 0
    heads = jnp.where(compares, task.entities[jnp.arange(MAX_HOPS) % 2], heads)
    counted = asked | compares
    value = jnp.asarray(rules.TAIL)[task.entities, task.relations[0]]
    proper = ~compares | (value[0] != value[1])
    known = ~jnp.any(counted & held[heads])
    new = jnp.where(compares, jnp.all(held[heads]), held[heads[1]])
    number = hashing.fold(jnp.concatenate([task.entities, task.relations]))
    is_seen = number % np.uint32(4) == 0
    usual = proper & ~odd & (task.hops <= 2)
    return {
        "train": usual & known & ~is_seen,
        "seen": usual & known & is_seen,
        "unseen": usual & new,
        "ood_relations": odd & (task.hops == 2),
        "ood_hops": ~odd & (task.hops > 2),
    }[panel]


def sample_task(key: jax.Array, panel: str) -> Task:
    """A random task of `panel`; jittable. Consumes key."""
    drawing.check_name(panel, NAMES)
    return drawing.sample(
        key, _NUM_BITS, lambda b: _draw(b, panel), lambda t: belongs(t, panel)
    )


@functools.cache
def _frozen(name: str) -> Task:
    return drawing.frozen(
        NAMES.index(name),
        _NUM_BITS,
        lambda b: _draw(b, name),
        lambda t: belongs(t, name),
    )


def frozen(name: str) -> Task:
    """The 512 tasks of a panel, stacked on the first axis, no two alike."""
    drawing.check_name(name, NAMES)
    return jax.tree.map(jnp.asarray, _frozen(name))
