"""The fewest steps a query needs, by trying every set of calls that can matter."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.paper_search import graph, rules
from steppo_jax.envs.paper_search.graph import MOST_ANSWERS, NO_PAPER, NO_TOPIC

# What is searched for, as places of the query; 3 is no word.
SEARCHES = np.array(
    [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 3, 3), (1, 3, 3), (2, 3, 3)]
)
_NUM_CALLS = len(SEARCHES) + MOST_ANSWERS
_TRIED = 4  # sets of at most so many calls


def answers(task: rules.Task) -> jax.Array:
    """[MOST_ANSWERS] int32, the answer set; NO_PAPER at its end."""
    papers = graph.best(graph.POSTINGS, task.topics, MOST_ANSWERS)
    many = jnp.sum(graph.shares(papers, task.topics), axis=1) >= rules.MANY
    return jnp.where(many, papers, NO_PAPER)


def _gains(task: rules.Task, wanted: jax.Array) -> jax.Array:
    """[_NUM_CALLS] uint32: which of `wanted` a call gives, a bit for each."""
    words = jnp.append(task.topics, NO_TOPIC)[jnp.asarray(SEARCHES)]
    hits = jax.vmap(lambda w: graph.best(graph.INDEX, w, graph.NUM_RESULTS))(words)
    is_answer = wanted < NO_PAPER
    cited = jnp.asarray(graph.CITED)[jnp.minimum(wanted, NO_PAPER - 1)]
    cited = jnp.where(is_answer[:, None], cited, NO_PAPER)
    blank = ((0, 0), (0, graph.NUM_RESULTS - graph.NUM_CITED))
    papers = jnp.concatenate(
        [hits, jnp.pad(cited, blank, constant_values=NO_PAPER)]
    )  # [_NUM_CALLS, NUM_RESULTS]
    given = jnp.any(papers[:, :, None] == wanted[None, None], axis=1) & is_answer[None]
    bit = jnp.uint32(1) << jnp.arange(MOST_ANSWERS, dtype=jnp.uint32)
    return jnp.sum(jnp.where(given, bit[None], 0), axis=1, dtype=jnp.uint32)


@jax.jit
def steps(task: rules.Task) -> jax.Array:
    """[] int32, the fewest calls that find enough of the answers.

    Calls are searches for words of the query and expansions of answers; every set
    of up to four of them is tried, with a search in it, for without one there is
    nothing to expand. That the answers to be expanded are in sight in time is not
    asked, so no policy that makes these calls can be faster. A search with a word
    that is not of the query would save a step in 2 % of the tasks (tests try all
    45,792 calls). Five stands for more than four.
    """
    wanted = answers(task)
    size = jnp.sum(wanted < NO_PAPER)
    gains = _gains(task, wanted)
    fewest = jnp.int32(_TRIED + 1)
    for number in range(_TRIED, 0, -1):
        sets = np.array(
            [
                calls
                for calls in itertools.combinations(range(_NUM_CALLS), number)
                if calls[0] < len(SEARCHES)
            ]
        )
        union = gains[sets[:, 0]]
        for column in sets.T[1:]:
            union = union | gains[column]
        most = jnp.max(jax.lax.population_count(union)).astype(jnp.int32)
        fewest = jnp.where(rules.is_enough(most, size), number, fewest)
    return fewest
