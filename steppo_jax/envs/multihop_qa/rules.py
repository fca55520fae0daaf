"""Facts, the search over them, and what a search or an answer changes.

A passage is one fact (head, relation, tail). Everything is a NumPy table made
from counters by a fixed hash, so importing touches no device.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

# (type, how many, last letter of its names)
TYPES = (
    ("film", 160, "m"),
    ("person", 200, "n"),
    ("company", 80, "x"),
    ("city", 100, "l"),
    ("country", 40, "r"),
    ("year", 60, ""),
)
# (relation, type of the head, type of the tail); tails that are years compare
RELATIONS = (
    ("directed_by", "film", "person"),
    ("made_by", "film", "company"),
    ("released", "film", "year"),
    ("born_in", "person", "city"),
    ("works_for", "person", "company"),
    ("spouse", "person", "person"),
    ("born", "person", "year"),
    ("based_in", "company", "city"),
    ("founded_by", "company", "person"),
    ("founded", "company", "year"),
    ("in_country", "city", "country"),
    ("mayor", "city", "person"),
    ("capital", "country", "city"),
    ("leader", "country", "person"),
)
HELD_OUT_RELATIONS = ("spouse", "mayor", "leader")  # asked in `ood_relations` only

TYPE_NAMES = [name for name, _, _ in TYPES]
COUNTS = np.array([count for _, count, _ in TYPES])
STARTS = np.cumsum(COUNTS) - COUNTS
NUM_ENTITIES, NUM_RELATIONS = int(COUNTS.sum()), len(RELATIONS)
NUM_HEADS = int(STARTS[-1])  # years come last and head no fact
TYPE_OF = np.repeat(np.arange(len(TYPES)), COUNTS)
NONE = -1
MAX_HOPS, MAX_QUERIES, TOP_K, NUM_PASSAGES = 4, 2, 2, 8


def scatter(x) -> np.ndarray:
    """`hashing.mix` in NumPy: importing must touch no device."""
    x = np.asarray(x, np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _facts() -> np.ndarray:
    """[facts, 3] int32 rows (head, relation, tail)."""
    blocks = []
    for number, (_, head, tail) in enumerate(RELATIONS):
        h, t = TYPE_NAMES.index(head), TYPE_NAMES.index(tail)
        heads = STARTS[h] + np.arange(COUNTS[h])
        tails = STARTS[t] + scatter(heads * 16 + number) % COUNTS[t]
        blocks.append(np.stack([heads, np.full_like(heads, number), tails], 1))
    return np.concatenate(blocks).astype(np.int32)


FACTS = _facts()
TAIL = np.full((NUM_ENTITIES, NUM_RELATIONS), NONE, np.int32)
TAIL[FACTS[:, 0], FACTS[:, 1]] = FACTS[:, 2]


@struct.dataclass
class Task:
    """A question: which entity a chain of relations leads to, or the later of two."""

    hops: jax.Array  # [] int32; 0 is a comparison
    entities: jax.Array  # [2] int32; the second is NONE unless it compares
    relations: jax.Array  # [MAX_HOPS] int32 or NONE
    answer: jax.Array  # [] int32, hidden


@struct.dataclass
class State:
    """The whole state of an episode."""

    task: Task
    passages: jax.Array  # [NUM_PASSAGES] int32 fact ids or NONE, newest first
    queries: jax.Array  # [4] int32 entity, relation, entity, relation or NONE
    num_steps: jax.Array  # [] int32
    over: jax.Array  # [] bool
    answered: jax.Array  # [] bool
    correct: jax.Array  # [] bool


def search(entities: jax.Array, relations: jax.Array) -> jax.Array:
    """[TOP_K] int32 fact ids by overlap with words [any]; NONE where none match.

    A title (head) counts 3, another mention 2, a relation 2; earlier facts win ties.
    """
    head, relation, tail = jnp.asarray(FACTS).T

    def has(column, words):
        return jnp.any(column[:, None] == words[None, :], axis=1)

    score = 3 * has(head, entities) + 2 * has(tail, entities)
    score = score + 2 * has(relation, relations)
    best, ids = jax.lax.top_k(score, TOP_K)  # equal scores: lower index first
    found = (best > 0) & jnp.any(entities >= 0)
    return jnp.where(found, ids, NONE).astype(jnp.int32)


def merged(new: jax.Array, old: jax.Array) -> jax.Array:
    """[NUM_PASSAGES]: new ones first, none twice, the oldest dropped."""
    every = jnp.concatenate([new, old])
    place = jnp.arange(every.shape[0])
    same = (every[:, None] == every[None, :]) & (place[None, :] < place[:, None])
    keep = (every != NONE) & ~jnp.any(same, axis=1)
    order = jnp.argsort(~keep, stable=True)
    return jnp.where(keep, every, NONE)[order][:NUM_PASSAGES]


def initial_state(task: Task) -> State:
    """The state after the forced search with the words of the question."""
    task = jax.tree.map(lambda x: jnp.asarray(x, jnp.int32), task)
    blank = jnp.full(NUM_PASSAGES, NONE, jnp.int32)
    no = jnp.bool_(False)
    found = search(task.entities, task.relations)
    queries = jnp.full(2 * MAX_QUERIES, NONE, jnp.int32)
    return State(task, merged(found, blank), queries, jnp.int32(0), no, no, no)


def apply(state: State, queries: jax.Array, answer: jax.Array) -> State:
    """After queries [4], or an answer [] that is not NONE; neither: malformed."""
    pairs = queries.reshape(MAX_QUERIES, 2)
    found = jax.vmap(lambda q: search(q[:1], q[1:]))(pairs).reshape(-1)
    answered = answer != NONE
    return state.replace(
        passages=merged(found, state.passages),
        queries=queries,
        num_steps=state.num_steps + 1,
        over=answered | (queries[0] == NONE),
        answered=answered,
        correct=answered & (answer == state.task.answer),
    )
