"""States of the paper search for tests."""

import jax
import jax.numpy as jnp

from steppo_jax.envs.paper_search import graph, rules


def hidden_variant(state, key):
    """The same to the eye: which papers below the shown ones are in the pool is
    drawn anew. Consumes key.

    A paper can be found or lost unseen only where it ranks below a full list.
    """
    matched = rules.matches(graph.HAS, state.task.topics)
    score = jnp.where(matched > 0, matched * graph.NUM_PAPERS + graph.ORDER, 0)
    shown, there = rules.slots(state)
    last = rules.OPEN_SLOTS - 1
    below = score < jnp.where(there[last], score[shown[last]], 0)
    drawn = jax.random.bernoulli(key, 0.1, (graph.NUM_PAPERS,)) & (score > 0)
    return state.replace(found=jnp.where(below & ~state.expanded, drawn, state.found))
