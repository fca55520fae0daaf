"""Which questions exist and which panel each belongs to; none is in two.

A quarter of the names is held out: no question of `train` or `seen` needs, for its
answer, a fact under such a title; the last fact of every `unseen` question, or both
facts of a comparison, has one. The relations held out are asked in `ood_relations`
only, chains of 3 or 4 hops in `ood_hops` only.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import drawing, hashing
from steppo_jax.envs.base import PANELS
from steppo_jax.envs.drawing import pick
from steppo_jax.envs.multihop_qa import index, world
from steppo_jax.envs.multihop_qa.rules import MAX_HOPS, Task
from steppo_jax.envs.multihop_qa.world import NONE

NAMES = (*PANELS, "ood_relations", "ood_hops")
HELD_OUT_RELATIONS = ("spouse", "mayor", "leader")

_IS_HELD_OUT = (
    hashing.mix(np.arange(99991, 99991 + world.NUM_ENTITIES, dtype=np.uint32)) % 4 == 0
)
_IS_ODD = np.array([r in HELD_OUT_RELATIONS for r in world.RELATION_NAMES])
_IS_YEAR = np.array([tail == "year" for _, _, tail in world.RELATIONS])
_COMPARED = np.flatnonzero(_IS_YEAR)
_ONE_IN = 8  # of the questions drawn for PANELS compares; few are refused
# [types, most] relations that lead on from a type, repeated to the same length
_LEADS_ON = [
    np.flatnonzero(np.equal(world.HEAD_TYPE, t) & ~_IS_YEAR)
    for t in range(len(world.TYPES) - 1)
]
_NUM_LEADS_ON = np.array([len(r) for r in _LEADS_ON], np.uint32)
_LEADS_ON = np.stack([np.resize(r, _NUM_LEADS_ON.max()) for r in _LEADS_ON])
_NUM_BITS = 8


def _chain(bits: jax.Array, hops: jax.Array) -> Task:
    start = pick(bits[0], world.YEAR_0)

    def hop(at, bit):
        kind = jnp.asarray(world.TYPE_OF)[at]
        which = bit % jnp.asarray(_NUM_LEADS_ON)[kind]
        relation = jnp.asarray(_LEADS_ON)[kind, which].astype(jnp.int32)
        tail = jnp.asarray(world.TAIL)[at, relation]
        return tail, (relation, tail)

    _, (relations, tails) = jax.lax.scan(hop, start, bits[1 : 1 + MAX_HOPS])
    relations = jnp.where(jnp.arange(MAX_HOPS) < hops, relations, NONE)
    return Task(hops, jnp.stack([start, jnp.int32(NONE)]), relations, tails[hops - 1])


def _comparison(bits: jax.Array) -> Task:
    relation = jnp.asarray(_COMPARED)[pick(bits[0], len(_COMPARED))].astype(jnp.int32)
    kind = jnp.asarray(world.HEAD_TYPE)[relation]
    count = jnp.asarray(world.COUNT)[kind].astype(jnp.uint32)
    start = jnp.asarray(world.START)[kind].astype(jnp.int32)
    pair = start + (bits[1:3] % count).astype(jnp.int32)
    value = jnp.asarray(world.TAIL)[pair, relation]
    relations = jnp.full(MAX_HOPS, NONE, jnp.int32).at[0].set(relation)
    later = pair[(value[1] > value[0]).astype(jnp.int32)]
    return Task(jnp.int32(0), pair, relations, later)


def _draw(bits: jax.Array, panel: str) -> Task:
    """A question from random bits [_NUM_BITS]; `belongs` may still refuse it."""
    if panel not in PANELS:
        hops = 3 + pick(bits[7], 2) if panel == "ood_hops" else jnp.int32(2)
        return _chain(bits, hops)
    compares = pick(bits[7], _ONE_IN) == 0
    either = _comparison(bits), _chain(bits, jnp.int32(2))
    return jax.tree.map(lambda a, b: jnp.where(compares, a, b), *either)


def _walk(task: Task) -> tuple[jax.Array, jax.Array]:
    """(heads, tails) [MAX_HOPS] of the facts of a chain; NONE after its end."""

    def follow(at, relation):
        asked = relation != NONE
        tail = jnp.where(asked, jnp.asarray(world.TAIL)[at, relation], NONE)
        return tail, (jnp.where(asked, at, NONE), tail)

    return jax.lax.scan(follow, task.entities[0], task.relations)[1]


def _has_short_cut(task: Task, heads: jax.Array, tails: jax.Array) -> jax.Array:
    """[] bool: the question can be answered sooner than hop by hop.

    Because the chain returns to a name or a relation, or because the search for one
    of its facts (the first one, with all relations) finds a later one too.
    """
    compares, place = task.hops == 0, jnp.arange(MAX_HOPS)
    first, alone = place[:, None] == 0, place[:, None] == place[None, :]
    words = jnp.where(first | alone, task.relations[None, :], NONE)  # of each search
    found = jnp.asarray(world.FACTS)[jax.vmap(index.search)(heads, words)]
    # The facts that are needed: of a comparison, the relation of both names.
    title = jnp.where(compares, task.entities[jnp.minimum(place, 1)], heads)
    relation = jnp.where(compares, task.relations[0], task.relations)
    says = (found[:, :, None, 0] == title[None, None, :]) & (
        found[:, :, None, 1] == relation[None, None, :]
    )
    num_facts = jnp.where(compares, 2, task.hops)
    later = (place[:, None] < place[None, :]) & (place[None, :] < num_facts)
    is_shown = jnp.any(later & jnp.any(says, axis=1))
    met = jnp.concatenate([task.entities[:1], tails])
    returns = _has_twice(met) | _has_twice(task.relations)
    return is_shown | (~compares & returns)


def _has_twice(values: jax.Array) -> jax.Array:
    """[] bool, whether a value other than NONE stands twice in `values` [K]."""
    same = jnp.triu(values[:, None] == values[None, :], 1)
    return jnp.any(same & (values != NONE)[None, :])


def belongs(task: Task, panel: str) -> jax.Array:
    """[] bool, whether a task belongs to `panel`; it belongs to one at most."""
    held = jnp.asarray(_IS_HELD_OUT)
    odd = jnp.asarray(_IS_ODD)[task.relations] & (task.relations != NONE)
    is_odd, compares = jnp.any(odd), task.hops == 0
    heads, tails = _walk(task)
    asked = jnp.where(compares, task.entities, heads[jnp.maximum(task.hops - 1, 0)])
    known, new = ~jnp.any(held[asked]), jnp.all(held[asked])
    value = jnp.asarray(world.TAIL)[task.entities, task.relations[0]]
    proper = ~_has_short_cut(task, heads, tails) & (~compares | (value[0] != value[1]))
    number = hashing.fold(jnp.concatenate([task.entities, task.relations]))
    is_seen = number % np.uint32(3) == 0
    usual = proper & ~is_odd & (task.hops <= 2)
    return {
        "train": usual & known & ~is_seen,
        "seen": usual & known & is_seen,
        "unseen": usual & new,
        "ood_relations": proper & is_odd & (task.hops == 2),
        "ood_hops": proper & ~is_odd & (task.hops > 2),
    }[panel]


TASKS = drawing.Panels(NAMES, _NUM_BITS, _draw, belongs, tries=16)
