"""What the policy sees: a template of fixed slots, and the English of it.

The passages of the two newest queries, each under its query and the newest last;
then the question and the steps taken. A slot without anything to say holds ".".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.multihop_qa import index, language, rules, world
from steppo_jax.envs.multihop_qa.language import EMPTY, EMPTY_ID, ID, NAME_TOKENS
from steppo_jax.envs.multihop_qa.world import NONE
from steppo_jax.envs.template import Template
from steppo_jax.vocabulary import Vocabulary

# (slot, number of words); a slot named like a word is that word
TEMPLATE = Template(
    (
        ("<bos>", 1),
        ("queries", rules.MAX_QUERIES * (5 + 5 * index.TOP_K)),
        ("kind", 1),
        ("first name", 2),
        ("second name", 2),
        ("relations", rules.MAX_HOPS),
        ("steps taken", 1),
        ("act", 1),
    )
)
LENGTH = TEMPLATE.length
# [facts + 1, 5] tokens of a passage; NONE is the last row
_PASSAGES = np.concatenate(
    [
        NAME_TOKENS[world.FACTS[:, 0]],
        language.RELATION_TOKENS[world.FACTS[:, 1], None],
        NAME_TOKENS[world.FACTS[:, 2]],
    ],
    axis=1,
)
_PASSAGES = np.concatenate([_PASSAGES, np.full((1, 5), EMPTY_ID)]).astype(np.int32)


def observe(state: rules.State, max_steps: int) -> jax.Array:
    """[LENGTH] int32, the observation of a state."""
    task, (entity, relation) = state.task, state.queries.T
    names, relations = jnp.asarray(NAME_TOKENS), jnp.asarray(language.RELATION_TOKENS)
    query, passages = (
        jnp.full((rules.MAX_QUERIES, 1), ID[word], jnp.int32)
        for word in ("query", "found")
    )
    found = jnp.asarray(_PASSAGES)[state.passages].reshape(rules.MAX_QUERIES, -1)
    asked = [query, names[entity], relations[relation][:, None], passages, found]
    value = {
        "kind": jnp.where(task.hops > 0, ID["follow"], ID["later"]),
        "first name": names[task.entities[0]],
        "second name": names[task.entities[1]],
        "relations": relations[task.relations],
        "steps taken": ID["s0"] + jnp.minimum(state.num_steps, max_steps),
        "queries": jnp.concatenate(asked, axis=1)[::-1],
    }
    return TEMPLATE.fill(value, ID)


def state_key(observation: jax.Array) -> jax.Array:
    """[] uint32, hash of the question and what is in sight, not of when it is."""
    return hashing.fold(TEMPLATE.without(observation, ["steps taken"]))


def describe(observation, words: Vocabulary) -> str:
    """English of an observation [LENGTH], word for word what the tokens say."""
    seen = TEMPLATE.read(observation, words)

    def said(some) -> str:
        return " ".join(w for w in some if w != EMPTY)

    first, second = said(seen["first name"]), said(seen["second name"])
    chain = ", then ".join(r for r in seen["relations"] if r != EMPTY)
    lines = [
        f"Question: which is later by {chain}, {first} or {second}?"
        if seen["kind"] == ["later"]
        else f"Question: start from {first} and follow {chain}. Where do you arrive?",
        f"Steps taken: {seen['steps taken'][0][1:]}.",
    ]
    for block in np.reshape(seen["queries"], (rules.MAX_QUERIES, -1))[::-1]:
        if said(block[1:4]):
            lines.append(f"Found for {said(block[1:4])}:")
            lines += [f"- {said(row)}." for row in np.reshape(block[5:], (-1, 5))]
    return "\n".join(lines)


def render(state: rules.State, words: Vocabulary, max_steps: int) -> str:
    """The observation, and what it does not show."""
    answer = int(state.task.answer)
    said = "none" if answer == NONE else " ".join(world.NAMES[answer])
    seen = describe(np.asarray(observe(state, max_steps)), words)
    return f"{seen}\n(hidden) answer: {said}"
