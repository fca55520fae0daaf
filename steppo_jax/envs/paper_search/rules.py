"""What a search or an expansion finds, what it is worth, and what it changes.

Relevance of a paper is the square of the share of the query's topics it has. The
answer set is made of the papers with two topics of the query or more.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax.envs.paper_search import graph
from steppo_jax.envs.paper_search.graph import NO_PAPER, NO_TOPIC, NUM_RESULTS

NUM_REWARDED = 3  # new papers a step is paid for
PENALTY = -0.5  # for a search said before, and for expanding what cannot be
ENOUGH = 0.8  # recall that is success
NUM_SHOWN = 6  # papers of the pool that are shown, and so can be expanded
MANY = 2  # topics of the query that make a paper an answer

SEARCH, EXPAND, MALFORMED, NO_KIND = range(4)  # kinds of action
OK, REPEATED, UNRECOGNISED, NO_RESULT = range(4)  # results of an action


@struct.dataclass
class Task:
    """A query."""

    topics: jax.Array  # [3] int32, rising


@struct.dataclass
class Action:
    """One action; what its kind does not use says nothing."""

    kind: jax.Array  # [] int32, SEARCH, EXPAND or MALFORMED
    topics: jax.Array  # [3] int32, rising, no topic twice; NO_TOPIC at the end
    slot: jax.Array  # [] int32, of NUM_SHOWN


@struct.dataclass
class State:
    """The whole state of an episode, hidden parts too. A row is a step."""

    task: Task
    paper: jax.Array  # [max_steps, NUM_RESULTS] int32, the pool; NO_PAPER where none
    has: jax.Array  # [max_steps, NUM_RESULTS, 3] bool, topics of the query it has
    expanded: jax.Array  # [max_steps, NUM_RESULTS] bool
    past_kind: jax.Array  # [max_steps] int32, what was done; NO_KIND from now on
    past_topics: jax.Array  # [max_steps, 3] int32, words searched, or those of the
    # query that the expanded paper has, each in its place; else NO_TOPIC
    num_steps: jax.Array  # [] int32, steps taken
    num_new: jax.Array  # [] int32, papers the last step added
    last_result: jax.Array  # [] int32, OK … NO_RESULT
    over: jax.Array  # [] bool


@struct.dataclass
class Shown:
    """The papers in sight, the most relevant of the pool, best first."""

    place: jax.Array  # [NUM_SHOWN] int32, in the pool
    there: jax.Array  # [NUM_SHOWN] bool, whether there is one
    has: jax.Array  # [NUM_SHOWN, 3] bool
    expanded: jax.Array  # [NUM_SHOWN] bool


def initial_state(task: Task, max_steps: int) -> State:
    """The state in which an episode of `task` begins."""
    return State(
        task=jax.tree.map(lambda x: jnp.asarray(x, jnp.int32), task),
        paper=jnp.full((max_steps, NUM_RESULTS), NO_PAPER, jnp.int32),
        has=jnp.zeros((max_steps, NUM_RESULTS, 3), bool),
        expanded=jnp.zeros((max_steps, NUM_RESULTS), bool),
        past_kind=jnp.full(max_steps, NO_KIND, jnp.int32),
        past_topics=jnp.full((max_steps, 3), NO_TOPIC, jnp.int32),
        num_steps=jnp.int32(0),
        num_new=jnp.int32(0),
        last_result=jnp.int32(NO_RESULT),
        over=jnp.bool_(False),
    )


def shown(state: State) -> Shown:
    """What is in sight of the pool."""
    count = jnp.sum(state.has, axis=-1)
    key = jnp.where(count > 0, count * (NO_PAPER + 1) + NO_PAPER - state.paper, 0)
    best, place = jax.lax.top_k(jnp.ravel(key).astype(jnp.float32), NUM_SHOWN)
    has = jnp.reshape(state.has, (-1, 3))[place]
    return Shown(place, best > 0, has, jnp.ravel(state.expanded)[place])


def num_answers_found(state: State) -> jax.Array:
    """[] int32, papers of the pool that are answers."""
    return jnp.sum(jnp.sum(state.has, axis=-1) >= MANY, dtype=jnp.int32)


def apply(state: State, action: Action) -> tuple[State, jax.Array]:
    """(the state after `action`, reward [] float32)."""
    query = state.task.topics
    searches, expands = action.kind == SEARCH, action.kind == EXPAND
    sight = shown(state)
    place, known = sight.place[action.slot], sight.there[action.slot]
    said = (state.past_kind == SEARCH) & jnp.all(
        state.past_topics == action.topics[None], axis=1
    )
    fresh = jnp.where(searches, ~jnp.any(said), known & ~sight.expanded[action.slot])
    works, wasted = fresh & (searches | expands), ~fresh & (searches | expands)

    hits = graph.best(graph.INDEX, action.topics, NUM_RESULTS)
    source = jnp.minimum(jnp.ravel(state.paper)[place], NO_PAPER - 1)
    blank = jnp.full(NUM_RESULTS - graph.NUM_CITED, NO_PAPER)
    cited = jnp.concatenate([jnp.asarray(graph.CITED)[source], blank])
    papers = jnp.where(searches, hits, cited)
    has = graph.shares(papers, query) & (papers < NO_PAPER)[:, None]
    found = jnp.any(papers[:, None] == jnp.ravel(state.paper)[None], axis=1)
    is_new = works & ~found & jnp.any(has, axis=1)
    has = has & is_new[:, None]
    # Ninths are summed as whole numbers, so that no order of adding matters.
    ninths = (jnp.sum(has, axis=1) ** 2).astype(jnp.float32)
    gain = jnp.sum(jax.lax.top_k(ninths, NUM_REWARDED)[0]) / 9

    result = jnp.where(wasted, REPEATED, jnp.where(works, OK, UNRECOGNISED))
    now = jnp.arange(state.past_kind.shape[0]) == state.num_steps
    named = jnp.where(sight.has[action.slot] & known, query, NO_TOPIC)
    spoken = jnp.where(expands, named, action.topics)
    kept = jnp.where(is_new, papers, NO_PAPER)
    opens = jnp.arange(state.expanded.size) == jnp.where(works & expands, place, -1)
    after = state.replace(
        paper=jnp.where(now[:, None], kept[None], state.paper),
        has=jnp.where(now[:, None, None], has[None], state.has),
        expanded=state.expanded | opens.reshape(state.expanded.shape),
        past_kind=jnp.where(now, action.kind, state.past_kind),
        past_topics=jnp.where(now[:, None], spoken[None], state.past_topics),
        num_steps=state.num_steps + 1,
        num_new=jnp.sum(is_new, dtype=jnp.int32),
        last_result=result.astype(jnp.int32),
        over=action.kind == MALFORMED,
    )
    return after, jnp.where(wasted, PENALTY, gain).astype(jnp.float32)


def is_enough(right: jax.Array, size: jax.Array) -> jax.Array:
    """[] bool, whether `right` answers found of `size` are success.

    In whole numbers: a share such as 12/15 must not be rounded below 0.8.
    """
    return right * 10 >= size * round(ENOUGH * 10)


def outcome(state: State) -> dict[str, jax.Array]:
    """Recall, precision and F1 of the pool, and whether recall is enough."""
    size = jnp.asarray(graph.NUM_ANSWERS)[tuple(state.task.topics)]
    right, pool = num_answers_found(state), jnp.sum(state.paper < NO_PAPER)
    # Every query has answers; an empty pool has precision 0, as its recall is.
    return {
        "success": is_enough(right, size).astype(jnp.float32),
        "recall": (right / size).astype(jnp.float32),
        "precision": (right / jnp.maximum(pool, 1)).astype(jnp.float32),
        "f1": (2 * right / (size + pool)).astype(jnp.float32),
    }
