"""The papers: their topics, what the search index knows of them, what they cite.

One fixed graph for all tasks, made from hashes of counters when the module is
imported; it is NumPy, so importing touches no device.
"""

from __future__ import annotations

import itertools

import numpy as np

from steppo_jax.envs import hashing

FIELDS = (
    "image video depth pose pixel scene texture camera",
    "translation summary dialog parsing syntax corpus speech grammar",
    "reward policy planning bandit exploration control robot simulator",
    "kernel convex gradient sparse bayes sampling entropy causal",
    "protein genome cell drug tumor neuron enzyme virus",
    "network cache compiler cluster storage privacy cipher latency",
    "climate ocean satellite rainfall soil ice aerosol wildfire",
    "market auction voting contract trust fairness labor tax",
)
TOPICS = tuple(word for field in FIELDS for word in field.split())
NUM_TOPICS = len(TOPICS)
FIELD_SIZE = NUM_TOPICS // len(FIELDS)
NO_TOPIC = NUM_TOPICS  # stands where a query has two topics
NUM_PAPERS = 2048
NUM_CITED = 8
_CLOSE = 7  # citations that go to papers that share two topics or more


def _bits(salt: int, *shape: int) -> np.ndarray:
    """[shape] uint32, the same for ever."""
    counter = np.arange(np.prod(shape), dtype=np.uint32)
    return hashing.mix(counter + np.uint32(salt << 24)).reshape(shape)


def _topics() -> np.ndarray:
    """[P, 3] int32: two topics of one field, and a third of any field."""
    bits = _bits(1, 4, NUM_PAPERS)
    first = bits[0] % NUM_TOPICS
    field, place = first // FIELD_SIZE, first % FIELD_SIZE
    second = field * FIELD_SIZE + (place + 1 + bits[1] % (FIELD_SIZE - 1)) % FIELD_SIZE
    low, high = np.minimum(first, second), np.maximum(first, second)
    # One of all others: count on, past the two that are taken.
    third = bits[2] % (NUM_TOPICS - 2)
    third = third + (third >= low)
    third = third + (third >= high)
    return np.stack([first, second, third], axis=1).astype(np.int32)


def _cited(has: np.ndarray) -> np.ndarray:
    """[P, NUM_CITED] int32, no paper twice and none by itself."""
    shared = (has.astype(np.float32) @ has.astype(np.float32).T).astype(np.int64)
    np.fill_diagonal(shared, -1)
    chance = _bits(2, NUM_PAPERS, NUM_PAPERS).astype(np.int64)
    close = np.minimum(shared, 2) << 32 | chance
    near = np.argpartition(-close, _CLOSE, axis=1)[:, :_CLOSE]
    np.put_along_axis(shared, near, -1, axis=1)
    far = np.where(shared == 1, chance, -1)
    far = np.argpartition(-far, NUM_CITED - _CLOSE, axis=1)[:, : NUM_CITED - _CLOSE]
    return np.concatenate([near, far], axis=1).astype(np.int32)


def _has(topics: np.ndarray) -> np.ndarray:
    """[NUM_TOPICS + 1, P] bool; the last row, of no topic, is empty."""
    return (topics[None] == np.arange(NUM_TOPICS + 1)[:, None, None]).any(axis=2)


PAPER_TOPICS = _topics()
HAS = _has(PAPER_TOPICS)
# The index knows two of three topics, so what search misses citations can give.
_UNKNOWN = _bits(3, NUM_PAPERS) % 3
INDEXED = _has(
    np.where(np.arange(3) == _UNKNOWN[:, None], -1, PAPER_TOPICS).astype(np.int32)
)
# Where scores are equal this order decides, always in the same way.
ORDER = np.argsort(np.argsort(_bits(4, NUM_PAPERS), kind="stable")).astype(np.int32)
CITED = _cited(HAS[:-1].T)


def _num_answers() -> np.ndarray:
    """[NUM_TOPICS + 1] * 3 int32: papers with two or more of three topics.

    Of topics a ≠ b ≠ c: the papers of each pair, those of all three counted once.
    """
    has = HAS.astype(np.float32)
    pairs = (has @ has.T).astype(np.int32)
    triples = np.zeros((NUM_TOPICS + 1,) * 3, np.int32)
    for order in itertools.permutations(range(3)):
        np.add.at(triples, tuple(PAPER_TOPICS.T[list(order)]), 1)
    total = pairs[:, :, None] + pairs[:, None] + pairs[None]
    return total - 2 * triples


NUM_ANSWERS = _num_answers()
