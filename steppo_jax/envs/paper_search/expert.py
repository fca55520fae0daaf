"""A scripted policy for the warm start."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.paper_search import graph, rules
from steppo_jax.envs.paper_search.graph import NO_TOPIC
from steppo_jax.envs.paper_search.language import rising

# What is searched in turn, as places of the query; 3 is none.
_SEARCHES = np.array([(0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 1, 2)])
_PAIRS = np.array([(1, 1, 0), (1, 0, 1), (0, 1, 1)], bool)  # the topics of each pair


def _action(kind, topics, slot) -> rules.Action:
    return rules.Action(kind.astype(jnp.int32), topics, slot.astype(jnp.int32))


def _pairs(has: jax.Array) -> jax.Array:
    """[n, 3] bool: the pairs of the query that each paper of has [n, 3] has."""
    return jnp.all(has[:, None] | ~jnp.asarray(_PAIRS)[None], axis=-1)


def clean_action(state: rules.State) -> rules.Action:
    """The expert's action.

    It looks at nothing that is not in the observation: it searches every pair of
    topics of the query, expands a shown answer of each pair, searches the whole
    query, then expands what is left.
    """
    query = state.task.topics
    wanted = jnp.append(query, NO_TOPIC)[jnp.asarray(_SEARCHES)]
    row = state.past_topics[:, None] == wanted[None]
    said = (state.past_kind == rules.SEARCH)[:, None] & jnp.all(row, axis=2)
    is_open = ~jnp.any(said, axis=0)
    expanded = (state.past_kind == rules.EXPAND)[:, None] & (
        state.past_topics == query[None]
    )
    covered = jnp.any(_pairs(expanded), axis=0)
    sight = rules.shown(state)
    can = sight.there & ~sight.expanded
    helps = can * jnp.sum(_pairs(sight.has) & ~covered[None], axis=1)
    is_needed = jnp.any(helps > 0)
    # Places of the first that is open: pairs stand before the whole query.
    search = jnp.any(is_open[:3]) | (is_open[3] & ~is_needed)
    words = jnp.where(search, wanted[jnp.argmax(is_open)], NO_TOPIC)
    slot = jnp.argmax(jnp.where(is_needed, helps, can))
    return _action(
        jnp.where(search, rules.SEARCH, rules.EXPAND),
        words,
        jnp.where(search, 0, slot),
    )


def random_action(state: rules.State, key: jax.Array) -> rules.Action:
    """A well-formed action, a search or an expansion. Consumes key.

    Half of the words of a search are words of the query, else nothing is found.
    """
    kind_key, word_key, own_key, number_key, slot_key = jax.random.split(key, 5)
    any_word = jax.random.randint(word_key, (3,), 0, graph.NUM_TOPICS)
    own = jax.random.bernoulli(own_key, 0.5, (3,))
    number = jax.random.randint(number_key, (), 1, 4)
    words = jnp.where(own, state.task.topics, any_word)
    words = jnp.where(jnp.arange(3) < number, words, NO_TOPIC)
    searches = jax.random.bernoulli(kind_key)
    slot = jax.random.randint(slot_key, (), 0, rules.NUM_SHOWN)
    nothing = jnp.full(3, NO_TOPIC, jnp.int32)
    return _action(
        jnp.where(searches, rules.SEARCH, rules.EXPAND),
        jnp.where(searches, rising(words), nothing),
        jnp.where(searches, 0, slot),
    )


def noisy_action(state: rules.State, key: jax.Array, noise: float) -> rules.Action:
    """The expert's action; with chance `noise` a random one. Consumes key."""
    chance_key, action_key = jax.random.split(key)
    stray = jax.random.uniform(chance_key) < noise
    return jax.tree.map(
        lambda a, b: jnp.where(stray, a, b),
        random_action(state, action_key),
        clean_action(state),
    )
