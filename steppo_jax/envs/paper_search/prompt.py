"""What the policy sees: a template of fixed slots, and the English of it.

It is built anew at every step: the query, the last actions, and the best papers
of the pool. Of a paper it says which topics of the query it has, each in the place
it has in the query. The rest of the pool, what papers cite and how many answers
there are is hidden. A slot with nothing to say holds ".".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.paper_search import golden, graph, rules
from steppo_jax.envs.paper_search.graph import MOST_ANSWERS, NO_PAPER
from steppo_jax.envs.paper_search.language import (
    DONE,
    FIRST_SLOT,
    ID,
    KIND_ID,
    NO_WORD,
    NUMBERS,
    RESULTS,
    TOPIC_ID,
    step_word,
)
from steppo_jax.envs.template import Template
from steppo_jax.vocabulary import Vocabulary

NUM_PAST = 4  # actions shown
# (slot, number of words); a slot named like a word is that word
TEMPLATE = Template(
    (
        ("<bos>", 1),
        ("query", 1),
        ("query topics", 3),
        ("step", 1),
        ("steps taken", 1),
        ("past", 1),
        ("past actions", 4 * NUM_PAST),  # latest first: kind and topics of each
        ("papers", 1),
        ("shown papers", 4 * rules.NUM_SHOWN),  # name or "done", and topics of each
        ("found", 1),
        ("answers found", 1),
        ("last", 1),
        ("last result", 1),
        ("last new", 1),
        ("act", 1),
    )
)
LENGTH = TEMPLATE.length
# Two observations that differ in these slots only show the same situation.
_NOT_SITUATION = ("steps taken", "past actions", "last result", "last new")
_RESULTS = np.array([ID[word] for word in RESULTS], np.int32)
_NONE, _N0 = ID[NO_WORD], ID[NUMBERS[0]]


def observe(state: rules.State) -> jax.Array:
    """[LENGTH] int32, the observation of a state."""
    max_steps, topic_id = state.past_kind.shape[0], jnp.asarray(TOPIC_ID)
    query = topic_id[state.task.topics]
    sight = rules.shown(state)
    names = jnp.where(
        sight.expanded, ID[DONE], FIRST_SLOT + jnp.arange(rules.NUM_SHOWN)
    )
    topics = jnp.where(sight.has, query[None], _NONE)
    papers = jnp.concatenate([names[:, None], topics], axis=1)
    at = state.num_steps - 1 - jnp.arange(NUM_PAST)
    kept = jnp.clip(at, 0, max_steps - 1)
    kinds = jnp.asarray(KIND_ID)[state.past_kind[kept]][:, None]
    past = jnp.concatenate([kinds, topic_id[state.past_topics[kept]]], axis=1)
    found = rules.num_answers_found(state)
    acted = state.last_result != rules.NO_RESULT
    value = {
        "query topics": query,
        "steps taken": ID[step_word(0)] + jnp.minimum(state.num_steps, max_steps),
        "past actions": jnp.where((at >= 0)[:, None], past, _NONE),
        "shown papers": jnp.where(sight.there[:, None], papers, _NONE),
        "answers found": _N0 + jnp.minimum(found, MOST_ANSWERS),
        "last result": jnp.asarray(_RESULTS)[state.last_result],
        "last new": jnp.where(acted, _N0 + state.num_new, _NONE),
    }
    return TEMPLATE.fill(value, ID)


def state_key(observation: jax.Array) -> jax.Array:
    """[] uint32, hash of the query, what is found, and what was done.

    The order in which things were done does not count, nor that one was repeated.
    """
    rows = observation[TEMPLATE.place["past actions"]].reshape(NUM_PAST, 4)
    same = jnp.all(rows[:, None] == rows[None], axis=2)
    again = jnp.any(same & np.tri(NUM_PAST, k=-1, dtype=bool), axis=1)
    done = jnp.where(again, 0, jax.vmap(hashing.fold)(rows))
    seen = hashing.fold(TEMPLATE.without(observation, _NOT_SITUATION))
    return hashing.mix(seen ^ jnp.sum(done, dtype=jnp.uint32))


def describe(observation, words: Vocabulary) -> str:
    """English of an observation [LENGTH], word for word what the tokens say."""
    seen = TEMPLATE.read(observation, words)

    def rows(name: str) -> list[str]:
        fours = np.reshape(seen[name], (-1, 4))
        texts = [" ".join(w for w in four if w != NO_WORD) for four in fours]
        return [text for text in texts if text]

    shown = [text.partition(" ") for text in rows("shown papers")]
    papers = ", ".join(f"{name} ({topics})" for name, _, topics in shown)
    (found,), (new,) = seen["answers found"], seen["last new"]
    lines = [
        f"Find papers about at least two of: {', '.join(seen['query topics'])}.",
        f"Steps taken: {seen['steps taken'][0][1:]}.",
        f"Your actions, latest first: {', '.join(rows('past actions')) or 'none'}.",
        f"Best papers found (done: expanded before): {papers or 'none'}.",
        f"Papers found that are about two: {found[1:]}.",
    ]
    last = {
        "ok": f"Your last action added {new[1:]} papers.",
        "nothing": "Your last action was of no use: it cost half a point.",
        "unrecognised": "Your last response was not recognised as an action.",
    }
    return "\n".join(lines + [last[r] for r in seen["last result"] if r in last])


def render(state: rules.State) -> str:
    """The whole state with its answer set: for people only."""
    sight = rules.shown(state)
    pool = np.ravel(state.paper)
    named = {
        int(pool[p]): f"e{i + 1}" for i, p in enumerate(sight.place) if sight.there[i]
    }
    found = {int(p) for p in pool if p < NO_PAPER}
    expanded = {int(p) for p in pool[np.ravel(state.expanded)]}
    wanted = {int(p) for p in golden.answers(state.task) if p < NO_PAPER}
    query = " ".join(graph.TOPICS[int(t)] for t in state.task.topics)
    lines = [
        f"query: {query} | steps taken: {int(state.num_steps)}",
        f"found {len(found)}, answers {len(found & wanted)} of {len(wanted)}",
    ]
    for paper in sorted(found | wanted):
        state_of = "found" if paper in found else "missed"
        marks = [
            named.get(paper, ""),
            "answer" if paper in wanted else "",
            "expanded" if paper in expanded else state_of,
            "hidden" if graph.HIDDEN[paper] else "",
            " ".join(graph.TOPICS[int(t)] for t in graph.PAPER_TOPICS[paper]),
        ]
        lines.append("{:<3}{:<7}{:<9}{:<7}{}".format(*marks))
    return "\n".join(lines)
