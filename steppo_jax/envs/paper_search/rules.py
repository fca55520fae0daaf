"""What a search or an expansion finds, what it is worth, and what it changes.

Relevance of a paper is the fraction of the query's topics it has. The answer set
is made of the papers with two topics of the query or more.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from steppo_jax.envs.paper_search import graph
from steppo_jax.envs.paper_search.graph import NO_TOPIC, NUM_PAPERS

NUM_RESULTS = 10  # papers a search gives
NUM_REWARDED = 3  # new papers a step is paid for
PENALTY = -0.5  # for a search said before, and for expanding what cannot be
ENOUGH = 0.5  # recall that is success
OPEN_SLOTS, DONE_SLOTS = 4, 2  # shown papers: not yet expanded, expanded
NUM_SLOTS = OPEN_SLOTS + DONE_SLOTS

SEARCH, EXPAND, STOP, MALFORMED, NO_KIND = range(5)  # kinds of action
OK, REPEATED, STOPPED, UNRECOGNISED, NO_RESULT = range(5)  # results of an action


@struct.dataclass
class Task:
    """A query."""

    topics: jax.Array  # [3] int32, rising; the last is NO_TOPIC where there are two


@struct.dataclass
class Action:
    """One action; what its kind does not use says nothing."""

    kind: jax.Array  # [] int32, SEARCH … MALFORMED
    topics: jax.Array  # [3] int32, rising, no topic twice; NO_TOPIC at the end
    slot: jax.Array  # [] int32, of NUM_SLOTS


@struct.dataclass
class State:
    """The whole state of an episode, hidden parts too."""

    task: Task
    found: jax.Array  # [NUM_PAPERS] bool, the pool
    expanded: jax.Array  # [NUM_PAPERS] bool, a part of the pool
    past_kind: jax.Array  # [max_steps] int32, what was done; NO_KIND from now on
    past_topics: jax.Array  # [max_steps, 3] int32, words searched, or of the paper
    num_steps: jax.Array  # [] int32, steps taken
    last_result: jax.Array  # [] int32, OK … NO_RESULT
    over: jax.Array  # [] bool


def initial_state(task: Task, max_steps: int) -> State:
    """The state in which an episode of `task` begins."""
    return State(
        task=jax.tree.map(lambda x: jnp.asarray(x, jnp.int32), task),
        found=jnp.zeros(NUM_PAPERS, bool),
        expanded=jnp.zeros(NUM_PAPERS, bool),
        past_kind=jnp.full(max_steps, NO_KIND, jnp.int32),
        past_topics=jnp.full((max_steps, 3), NO_TOPIC, jnp.int32),
        num_steps=jnp.int32(0),
        last_result=jnp.int32(NO_RESULT),
        over=jnp.bool_(False),
    )


def matches(table: np.ndarray, topics: jax.Array) -> jax.Array:
    """[NUM_PAPERS] int32, how many of `topics` [3] a paper has in `table`."""
    return jnp.sum(jnp.asarray(table)[topics], axis=0, dtype=jnp.int32)


def num_topics(topics: jax.Array) -> jax.Array:
    """[] int32, topics [3] that are not NO_TOPIC."""
    return jnp.sum(topics != NO_TOPIC, dtype=jnp.int32)


def answers(task: Task) -> jax.Array:
    """[NUM_PAPERS] bool, the answer set."""
    return matches(graph.HAS, task.topics) >= 2


def ranked(score: jax.Array, number: int) -> tuple[jax.Array, jax.Array]:
    """The `number` best papers of score [NUM_PAPERS] int32: (ids, score > 0)."""
    # Small whole numbers are exact in float32, whose top_k is fast on CPU.
    key = (score * NUM_PAPERS + graph.ORDER).astype(jnp.float32)
    best, paper = jax.lax.top_k(key, number)
    return paper, best >= NUM_PAPERS


def slots(state: State) -> tuple[jax.Array, jax.Array]:
    """Papers shown, most relevant first in each part: ([6] ids, [6] is there one)."""
    relevant = matches(graph.HAS, state.task.topics)
    parts = [
        ranked(jnp.where(part, relevant, 0), number)
        for part, number in (
            (state.found & ~state.expanded, OPEN_SLOTS),
            (state.expanded, DONE_SLOTS),
        )
    ]
    papers, there = zip(*parts)
    return jnp.concatenate(papers), jnp.concatenate(there)


def apply(state: State, action: Action) -> tuple[State, jax.Array]:
    """(the state after `action`, reward [] float32)."""
    searches, expands = action.kind == SEARCH, action.kind == EXPAND
    shown, there = slots(state)
    paper, known = shown[action.slot], there[action.slot]
    said = (state.past_kind == SEARCH) & jnp.all(
        state.past_topics == action.topics[None], axis=1
    )
    fresh = jnp.where(searches, ~jnp.any(said), known & ~state.expanded[paper])
    works = (searches | expands) & fresh

    hits, hit = ranked(matches(graph.INDEXED, action.topics), NUM_RESULTS)
    cited = jnp.asarray(graph.CITED)[paper]
    blank = NUM_RESULTS - graph.NUM_CITED
    ids = jnp.where(searches, hits, jnp.pad(cited, (0, blank)))
    real = jnp.where(searches, hit, jnp.arange(NUM_RESULTS) < graph.NUM_CITED)
    matched = matches(graph.HAS, state.task.topics)[ids]
    is_new = works & real & ~state.found[ids] & (matched > 0)
    best = jax.lax.top_k(jnp.where(is_new, matched, 0), NUM_REWARDED)[0]
    gain = jnp.sum(best) / num_topics(state.task.topics)
    wasted = (searches | expands) & ~fresh
    reward = jnp.where(wasted, PENALTY, gain).astype(jnp.float32)

    result = jnp.where(wasted, REPEATED, OK)
    result = jnp.where(action.kind == STOP, STOPPED, result)
    result = jnp.where(action.kind == MALFORMED, UNRECOGNISED, result)
    at = jnp.arange(state.past_kind.shape[0]) == state.num_steps
    spoken = jnp.where(searches, action.topics, NO_TOPIC)
    named = jnp.where(expands & known, jnp.asarray(graph.PAPER_TOPICS)[paper], spoken)
    after = state.replace(
        found=state.found.at[ids].max(is_new),
        expanded=state.expanded.at[paper].max(works & expands),
        past_kind=jnp.where(at, action.kind, state.past_kind),
        past_topics=jnp.where(at[:, None], named[None], state.past_topics),
        num_steps=state.num_steps + 1,
        last_result=result.astype(jnp.int32),
        over=(action.kind == STOP) | (action.kind == MALFORMED),
    )
    return after, reward


def outcome(state: State) -> dict[str, jax.Array]:
    """Recall, precision and F1 of the pool, and whether recall is enough."""
    wanted = answers(state.task)
    right = jnp.sum(state.found & wanted)
    size, pool = jnp.sum(wanted), jnp.sum(state.found)
    # Every query has answers; an empty pool has precision 0, as its recall is.
    recall = right / size
    return {
        "success": (recall >= ENOUGH).astype(jnp.float32),
        "recall": recall.astype(jnp.float32),
        "precision": (right / jnp.maximum(pool, 1)).astype(jnp.float32),
        "f1": (2 * right / (size + pool)).astype(jnp.float32),
    }
