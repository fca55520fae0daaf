"""The papers: their topics, the search index over them, what they cite.

One fixed graph for all tasks, made from hashes of counters when the module is
imported; it is NumPy, so importing touches no device. A paper has three topics of
one area. The index knows three papers in four, under all their topics; the others
are found through citations only, which go to them first.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing

# Two areas, of four lines each.
_WORDS = (
    "image video depth pose pixel scene texture camera",
    "translation summary dialog parsing syntax corpus speech grammar",
    "reward policy planning bandit exploration control robot simulator",
    "kernel convex gradient sparse bayes sampling entropy causal",
    "protein genome cell drug tumor neuron enzyme virus",
    "network cache compiler cluster storage privacy cipher latency",
    "climate ocean satellite rainfall soil ice aerosol wildfire",
    "market auction voting contract trust fairness labor tax",
)
TOPICS = tuple(word for line in _WORDS for word in line.split())
NUM_TOPICS, AREA_SIZE = len(TOPICS), 32
NUM_AREAS = NUM_TOPICS // AREA_SIZE
NO_TOPIC = NUM_TOPICS  # stands where fewer than three topics are said
NUM_PAPERS = 2048
NO_PAPER = NUM_PAPERS  # stands where there is none
MOST_ANSWERS = 32  # papers of an answer set
NUM_RESULTS = 10  # papers a search gives at most
NUM_CITED = 8
_HIDDEN_ONE_IN = 4  # papers that the index does not know


def _bits(salt: int, *shape: int) -> np.ndarray:
    """[shape] uint32, the same for ever."""
    counter = np.arange(np.prod(shape), dtype=np.uint32)
    return hashing.mix(counter + np.uint32(salt << 24)).reshape(shape)


def _topics() -> np.ndarray:
    """[NUM_PAPERS + 1, 3] int32, rising; the last row, of no paper, has none."""
    place = np.argsort(_bits(1, NUM_PAPERS, AREA_SIZE), axis=1)[:, :3]
    area = np.arange(NUM_PAPERS)[:, None] % NUM_AREAS
    topics = np.sort(area * AREA_SIZE + place, axis=1)
    return np.append(topics, [[NO_TOPIC] * 3], axis=0).astype(np.int32)


PAPER_TOPICS = _topics()
# [NUM_PAPERS, NUM_TOPICS] bool
HAS = (PAPER_TOPICS[:-1, :, None] == np.arange(NUM_TOPICS)).any(axis=1)
HIDDEN = _bits(2, NUM_PAPERS) % _HIDDEN_ONE_IN == 0


def _postings(has: np.ndarray) -> np.ndarray:
    """[NUM_TOPICS + 1, most papers of a topic] int32; NO_PAPER at the end of each."""
    width = has.sum(axis=0).max()
    lists = np.full((NUM_TOPICS + 1, width), NO_PAPER, np.int32)
    for topic in range(NUM_TOPICS):
        papers = np.flatnonzero(has[:, topic])
        lists[topic, : len(papers)] = papers
    return lists


def _cited() -> np.ndarray:
    """[NUM_PAPERS, NUM_CITED] int32: papers that share two topics or more.

    Of those, the ones that the index does not know come first; else chance decides.
    """
    shared = HAS.astype(np.float32) @ HAS.astype(np.float32).T
    np.fill_diagonal(shared, 0)
    chance = _bits(3, NUM_PAPERS, NUM_PAPERS) / np.float32(2**32)
    key = (shared >= 2) * np.where(HIDDEN, 2, 1) + chance
    return np.argpartition(-key, NUM_CITED, axis=1)[:, :NUM_CITED].astype(np.int32)


def _num_answers() -> np.ndarray:
    """[NUM_TOPICS] * 3 int32: papers with two or more of three topics.

    Of topics a ≠ b ≠ c: the papers of each pair, those of all three counted once.
    """
    has = HAS.astype(np.float32)
    pairs = (has.T @ has).astype(np.int32)
    triples = np.zeros((NUM_TOPICS,) * 3, np.int32)
    for order in itertools.permutations(range(3)):
        np.add.at(triples, tuple(PAPER_TOPICS[:-1].T[list(order)]), 1)
    total = pairs[:, :, None] + pairs[:, None] + pairs[None]
    return total - 2 * triples


POSTINGS = _postings(HAS)  # all papers of a topic
INDEX = _postings(HAS & ~HIDDEN[:, None])  # those that search knows
CITED = _cited()
NUM_ANSWERS = _num_answers()


def shares(papers: jax.Array, topics: jax.Array) -> jax.Array:
    """[..., 3] bool: which of `topics` [3] each of `papers` [...] has."""
    has = jnp.asarray(PAPER_TOPICS)[papers]
    wanted = topics.reshape((1,) * papers.ndim + (3, 1))
    return jnp.any(has[..., None, :] == wanted, axis=-1)


def best(lists: np.ndarray, words: jax.Array, number: int) -> jax.Array:
    """[number] int32: papers with most of `words`, lower numbers first where equal.

    Numbers of papers say nothing about them, so ties are broken by chance that is
    the same for ever. NO_PAPER stands where fewer than `number` have a word.

    Args:
      lists: POSTINGS or INDEX.
      words: [3] int32, no topic twice; NO_TOPIC says nothing.
    """
    papers = jnp.asarray(lists)[words]  # [3, width]
    has = shares(papers, words) & (papers < NO_PAPER)[..., None]
    # A paper in two lists counts in the first of them only.
    first = jnp.argmax(has, axis=-1) == jnp.arange(3)[:, None]
    count = jnp.where(first, jnp.sum(has, axis=-1), 0)
    # Small whole numbers are exact in float32, whose top_k is fast on CPU.
    key = (count * NUM_PAPERS + (NUM_PAPERS - 1 - papers)).astype(jnp.float32)
    key, place = jax.lax.top_k(jnp.ravel(key), number)
    return jnp.where(key >= NUM_PAPERS, jnp.ravel(papers)[place], NO_PAPER)
