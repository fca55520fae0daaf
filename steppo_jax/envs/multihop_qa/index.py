"""Search: an inverted index over the passages, and word overlap as the score.

A passage is a fact. A posting list of a name has the passages in which both of its
words stand, as the title (head) or elsewhere, and those whose title is another name
with one of its words, which a search for words finds too. It is built once, from the
corpus alone: it knows no question and no answer.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.multihop_qa import world
from steppo_jax.envs.multihop_qa.world import NONE

TOP_K = 4
TITLE_WORD, OTHER_WORD, RELATION_WORD = 10, 6, 8  # what a word in common counts


def _like(entity: int) -> int:
    """A name with the same second word (of even entities) or the same first word."""
    kind = world.TYPE_OF[entity]
    start, count = world.START[kind], world.COUNT[kind]
    width = len(world.SECOND_WORDS[world.TYPES[kind]])
    place = entity - start
    beside = place - place % width + (place + 1) % width
    return start + ((place + width) % count if entity % 2 == 0 else beside)


def _postings() -> tuple[np.ndarray, np.ndarray]:
    """(fact ids, scores of the name's words) [entities but years, longest list].

    A list is in scattered order, which decides between equal passages.
    """
    by_head = [[] for _ in range(world.NUM_ENTITIES)]
    by_tail = [[] for _ in range(world.NUM_ENTITIES)]
    for number, (head, _, tail) in enumerate(world.FACTS):
        by_head[head].append(number)
        by_tail[tail].append(number)
    lists = []
    for entity in range(world.YEAR_0):
        scored = [(fact, 2 * TITLE_WORD) for fact in by_head[entity]]
        scored += [(fact, 2 * OTHER_WORD) for fact in by_tail[entity]]
        scored += [(fact, TITLE_WORD) for fact in by_head[_like(entity)]]
        best = {}
        for fact, score in scored:  # a passage that matches twice counts as the better
            best[fact] = max(score, best.get(fact, 0))
        order = hashing.mix(np.array(list(best), np.uint32))
        lists.append([item for _, item in sorted(zip(order, best.items()))])
    longest = max(map(len, lists))
    padded = [[*found, *[(NONE, 0)] * (longest - len(found))] for found in lists]
    table = np.array(padded, np.int32)
    return table[..., 0], table[..., 1]


POSTINGS, WORD_SCORES = _postings()


def search(entity: jax.Array, relations: jax.Array) -> jax.Array:
    """[TOP_K] int32 fact ids that match a query best, the best first.

    Args:
      entity: [] int32, not a year; NONE finds nothing.
      relations: [any] int32, NONE where not said.

    Which of equal passages is found, and which stands first, says nothing.
    """
    facts = jnp.asarray(POSTINGS)[entity]
    relation = jnp.asarray(world.FACTS[:, 1])[facts]
    said = jnp.any(relation[:, None] == relations[None, :], axis=1)
    score = jnp.asarray(WORD_SCORES)[entity] + RELATION_WORD * said
    real = (facts != NONE) & (entity != NONE)
    score = jnp.where(real, score, 0)
    place = jnp.arange(facts.shape[0])
    # Counting who is better ranks a short list without a sort.
    earlier = place[:, None] < place[None, :]
    better = (score[:, None] > score[None, :]) | (
        (score[:, None] == score[None, :]) & earlier
    )
    rank = jnp.sum(better, axis=0)
    here = real[None, :] & (rank[None, :] == jnp.arange(TOP_K)[:, None])
    found = jnp.max(jnp.where(here, facts[None, :], NONE), axis=1)
    return found.astype(jnp.int32)
