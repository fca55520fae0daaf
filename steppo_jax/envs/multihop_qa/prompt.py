"""What the policy sees: question, step, last queries, passages; "." is empty."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.multihop_qa import rules
from steppo_jax.envs.multihop_qa.language import (
    ENTITY_NAMES,
    ID,
    NONE_ID,
    entity_token,
    relation_token,
    vocabulary,
)
from steppo_jax.vocabulary import PAD, Vocabulary

TEMPLATE = (
    ("<bos>", 1),
    ("question", 1),
    ("kind", 1),
    ("entities", 2),
    ("relations", rules.MAX_HOPS),
    ("step", 1),
    ("steps taken", 1),
    ("queries", 1),
    ("last queries", 2 * rules.MAX_QUERIES),
    ("passages", 1),
    ("found", 3 * rules.NUM_PASSAGES),
    ("act", 1),
)
LENGTH = sum(width for _, width in TEMPLATE)
_STARTS = np.cumsum([0] + [width for _, width in TEMPLATE])
SLOT = {n: slice(int(s), int(s) + w) for (n, w), s in zip(TEMPLATE, _STARTS)}


def observe(state: rules.State, max_steps: int) -> jax.Array:
    """[LENGTH] int32, the observation of a state."""
    task, queries = state.task, state.queries.reshape(-1, 2)
    head, relation, tail = jnp.asarray(rules.FACTS)[state.passages].T
    words = (entity_token(head), relation_token(relation), entity_token(tail))
    found = jnp.stack(words, axis=1)
    asked = (entity_token(queries[:, 0]), relation_token(queries[:, 1]))
    value = {
        "kind": jnp.where(task.hops == 0, ID["later"], ID["follow"]),
        "entities": entity_token(task.entities),
        "relations": relation_token(task.relations),
        "steps taken": ID["s0"] + jnp.minimum(state.num_steps, max_steps),
        "last queries": jnp.stack(asked, axis=1),
        "found": jnp.where(state.passages[:, None] >= 0, found, NONE_ID),
    }
    parts = [value[n] if n in value else jnp.int32(ID[n]) for n, _ in TEMPLATE]
    return jnp.concatenate([jnp.ravel(part) for part in parts]).astype(jnp.int32)


def state_key(observation: jax.Array) -> jax.Array:
    """[] uint32, hash of the question and what was found, not of when or how."""
    kept = np.ones(LENGTH, bool)
    kept[SLOT["steps taken"]] = kept[SLOT["last queries"]] = False
    return hashing.fold(jnp.where(kept, observation, PAD))


def describe(observation, words: Vocabulary) -> str:
    """English of an observation [LENGTH], word for word what the tokens say."""
    seen = {n: [words.words[int(t)] for t in observation[s]] for n, s in SLOT.items()}
    kind, entities = seen["kind"][0], " and ".join(seen["entities"])
    passages = np.reshape(seen["found"], (-1, 3))
    return "\n".join(
        [
            f"Question ({kind}): {entities}, {' then '.join(seen['relations'])}",
            f"Steps taken: {seen['steps taken'][0][1:]}.",
            f"Last queries: {' '.join(seen['last queries'])}",
            *(" ".join(passage) for passage in passages),
        ]
    )


def render(state: rules.State) -> str:
    """The observation and the answer: for people only."""
    steps = int(state.num_steps)
    text = describe(np.asarray(observe(state, steps)), vocabulary(steps))
    return f"{text}\nanswer: {ENTITY_NAMES[int(state.task.answer)]}"
