"""A scripted policy for the warm start, and a bound on the steps a task needs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.paper_search import graph, rules
from steppo_jax.envs.paper_search.graph import NO_TOPIC
from steppo_jax.envs.paper_search.language import rising

# What is searched in turn, as places of the query; 3 is none. Of two topics the
# later rows only repeat earlier ones, which the expert never says again.
_SUBSETS = np.array([(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 3, 3)])
_STOP_SHARE = 1 / 16  # of random actions that stop


def _action(kind, topics=None, slot=0) -> rules.Action:
    topics = jnp.full(3, NO_TOPIC, jnp.int32) if topics is None else topics
    return rules.Action(jnp.int32(kind), topics, jnp.int32(slot))


def clean_action(state: rules.State) -> rules.Action:
    """The expert's action.

    It looks at nothing that is not in the observation: it searches the whole
    query, expands what is shown to be an answer, then searches parts of the query.
    """
    topics = jnp.append(state.task.topics, NO_TOPIC)[jnp.asarray(_SUBSETS)]
    topics = jax.vmap(rising)(topics)
    said = (state.past_kind == rules.SEARCH)[:, None] & jnp.all(
        state.past_topics[:, None] == topics[None], axis=2
    )
    is_open = ~jnp.any(said, axis=0)
    shown, there = rules.slots(state)
    matched = rules.matches(graph.HAS, state.task.topics)[shown[0]]
    expands = there[0] & ((matched >= 2) | ~jnp.any(is_open)) & ~is_open[0]
    next_search = _action(rules.SEARCH, topics[jnp.argmax(is_open)])
    return jax.tree.map(
        lambda a, b: jnp.where(expands, a, b), _action(rules.EXPAND), next_search
    )


def random_action(state: rules.State, key: jax.Array) -> rules.Action:
    """A well-formed action: a search, an expansion, seldom a stop. Consumes key.

    Half of the words of a search are words of the query, else nothing is found.
    """
    kind_key, word_key, own_key, number_key, slot_key = jax.random.split(key, 5)
    any_word = jax.random.randint(word_key, (3,), 0, graph.NUM_TOPICS)
    own = jax.random.bernoulli(own_key, 0.5, (3,)) & (state.task.topics < NO_TOPIC)
    number = jax.random.randint(number_key, (), 1, 4)
    words = jnp.where(own, state.task.topics, any_word)
    words = jnp.where(jnp.arange(3) < number, words, NO_TOPIC)
    chance = jax.random.uniform(kind_key)
    kind = jnp.where(chance < 0.5, rules.SEARCH, rules.EXPAND)
    kind = jnp.where(chance > 1 - _STOP_SHARE, rules.STOP, kind)
    slot = jax.random.randint(slot_key, (), 0, rules.NUM_SLOTS)
    return _action(kind, rising(words), slot)


def noisy_action(state: rules.State, key: jax.Array, noise: float) -> rules.Action:
    """The expert's action; with chance `noise` a random one. Consumes key."""
    chance_key, action_key = jax.random.split(key)
    stray = jax.random.uniform(chance_key) < noise
    return jax.tree.map(
        lambda a, b: jnp.where(stray, a, b),
        random_action(state, action_key),
        clean_action(state),
    )


def golden_steps(task: rules.Task) -> jax.Array:
    """[] int32, a lower bound of the fewest steps to success.

    No step gives more than NUM_RESULTS papers, so none can be faster than this.
    """
    size = jnp.sum(rules.answers(task))
    needed = jnp.ceil(rules.ENOUGH * size - 1e-4)
    return jnp.ceil(needed / rules.NUM_RESULTS).astype(jnp.int32)
