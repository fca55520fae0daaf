"""What the policy sees: a template of fixed slots, and the English of it.

It is built anew at every step: the query, the last actions, and the best papers
of the pool with their topics. The rest of the pool, what papers cite and the
topics of papers not shown are hidden. A slot with nothing to say holds ".".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.paper_search import graph, rules
from steppo_jax.envs.paper_search.language import (
    FIRST_SLOT,
    ID,
    KIND_ID,
    NO_WORD,
    RESULTS,
    SLOTS,
    TOPIC_ID,
    step_word,
)
from steppo_jax.vocabulary import PAD, Vocabulary

NUM_PAST = 5  # actions shown
# (slot, number of words); a slot named like a word is that word
TEMPLATE = (
    ("<bos>", 1),
    ("query", 1),
    ("query topics", 3),
    ("step", 1),
    ("steps taken", 1),
    ("past", 1),
    ("past actions", 4 * NUM_PAST),  # latest first: kind and topics of each
    ("papers", 1),
    ("open papers", 4 * rules.OPEN_SLOTS),  # slot and topics of each
    ("expanded", 1),
    ("done papers", 4 * rules.DONE_SLOTS),
    ("last", 1),
    ("last result", 1),
    ("act", 1),
)
LENGTH = sum(width for _, width in TEMPLATE)
_STARTS = np.cumsum([0] + [width for _, width in TEMPLATE])
SLOT = {
    name: slice(int(start), int(start) + width)
    for (name, width), start in zip(TEMPLATE, _STARTS)
}
# Two observations that differ in these slots only show the same situation.
_NOT_SITUATION = ("steps taken", "past actions", "last result")
_RESULTS = np.array([ID[word] for word in RESULTS], np.int32)


def observe(state: rules.State) -> jax.Array:
    """[LENGTH] int32, the observation of a state."""
    max_steps, topic_id = state.past_kind.shape[0], jnp.asarray(TOPIC_ID)
    shown, there = rules.slots(state)
    topics = topic_id[jnp.asarray(graph.PAPER_TOPICS)[shown]]
    names = FIRST_SLOT + jnp.arange(rules.NUM_SLOTS)[:, None]
    papers = jnp.concatenate([names, topics], axis=1)
    papers = jnp.where(there[:, None], papers, ID[NO_WORD])
    at = state.num_steps - 1 - jnp.arange(NUM_PAST)
    kept = jnp.clip(at, 0, max_steps - 1)
    kinds = jnp.asarray(KIND_ID)[state.past_kind[kept]][:, None]
    past = jnp.concatenate([kinds, topic_id[state.past_topics[kept]]], axis=1)
    value = {
        "query topics": topic_id[state.task.topics],
        "steps taken": ID[step_word(0)] + jnp.minimum(state.num_steps, max_steps),
        "past actions": jnp.where((at >= 0)[:, None], past, ID[NO_WORD]),
        "open papers": papers[: rules.OPEN_SLOTS],
        "done papers": papers[rules.OPEN_SLOTS :],
        "last result": jnp.asarray(_RESULTS)[state.last_result],
    }
    parts = [value[name] if name in value else ID[name] for name, _ in TEMPLATE]
    return jnp.concatenate([jnp.ravel(part) for part in parts]).astype(jnp.int32)


def state_key(observation: jax.Array) -> jax.Array:
    """[] uint32, hash of the query and the papers shown: not of how they were met."""
    situation = np.ones(LENGTH, bool)
    for name in _NOT_SITUATION:
        situation[SLOT[name]] = False
    return hashing.fold(jnp.where(situation, observation, PAD))


def describe(observation, words: Vocabulary) -> str:
    """English of an observation [LENGTH], word for word what the tokens say."""
    seen = {
        name: [words.words[int(t)] for t in observation[place]]
        for name, place in SLOT.items()
    }

    def rows(name: str) -> list[str]:
        fours = np.reshape(seen[name], (-1, 4))
        texts = [" ".join(w for w in four if w != NO_WORD) for four in fours]
        return [text for text in texts if text]

    def papers(name: str) -> str:
        shown = [text.split(" ", 1) for text in rows(name)]
        return ", ".join(f"{slot} ({topics})" for slot, topics in shown) or "none"

    query = ", ".join(w for w in seen["query topics"] if w != NO_WORD)
    lines = [
        f"Find papers about at least two of: {query}.",
        f"Steps taken: {seen['steps taken'][0][1:]}.",
        f"Your actions, latest first: {', '.join(rows('past actions')) or 'none'}.",
        f"Best papers not yet expanded: {papers('open papers')}.",
        f"Best papers expanded: {papers('done papers')}.",
    ]
    last = {
        "ok": "Your last action was carried out.",
        "nothing": "Your last action was of no use: it cost half a point.",
        "stopped": "You stopped.",
        "unrecognised": "Your last response was not recognised as an action.",
    }
    return "\n".join(lines + [last[r] for r in seen["last result"] if r in last])


def _topics(paper: int) -> str:
    return " ".join(graph.TOPICS[int(t)] for t in graph.PAPER_TOPICS[paper])


def render(state: rules.State) -> str:
    """The whole state with its answer set: for people only."""
    shown, there = rules.slots(state)
    named = {int(p): SLOTS[i] for i, p in enumerate(shown) if there[i]}
    found, expanded = np.asarray(state.found), np.asarray(state.expanded)
    wanted = np.asarray(rules.answers(state.task))
    query = [graph.TOPICS[int(t)] for t in state.task.topics if t < graph.NO_TOPIC]
    lines = [
        f"query: {' '.join(query)} | steps taken: {int(state.num_steps)}",
        f"found {found.sum()}, answers {(found & wanted).sum()} of {wanted.sum()}",
    ]
    for paper in np.flatnonzero(found | wanted).tolist():
        marks = [
            named.get(paper, ""),
            "answer" if wanted[paper] else "",
            "expanded" if expanded[paper] else "found" if found[paper] else "missed",
            _topics(paper),
        ]
        lines.append("{:<3}{:<7}{:<9}{}".format(*marks))
    return "\n".join(lines)
