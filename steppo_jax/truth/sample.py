"""Samples episodes of a tabular MDP on the device, many at once."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.truth.mdp import Mdp, probabilities
from steppo_jax.truth.rollouts import Rollouts


def draw(cumulative: jax.Array, uniform: jax.Array) -> jax.Array:
    """The entry that a uniform number falls into; impossible ones never."""
    return (uniform[..., None] >= cumulative).sum(-1).astype(jnp.int32)


def _cumulative(table: np.ndarray) -> jax.Array:
    """Sums along the last axis, exactly 1 from the last possible entry on."""
    ends = np.cumsum(table, -1)
    later = np.cumsum(table[..., ::-1], -1)[..., ::-1] - table
    return jnp.asarray(np.where(later <= 0, 1.0, ends))


def sampler(mdp: Mdp, logits: np.ndarray):
    """A jitted function (key, groups, group_size) → Rollouts of groups · group_size.

    The key is consumed. Every group draws one start; its episodes share it and
    are independent otherwise.
    """
    tree = mdp.language
    policy = _cumulative(probabilities(logits, tree))
    follow, start = _cumulative(mdp.transition), _cumulative(mdp.start)[None]
    child = jnp.asarray(tree.child, jnp.int32)
    meaning = jnp.asarray(tree.meaning, jnp.int32)
    reward = jnp.asarray(mdp.reward)

    def respond(state, uniform_LN):
        def speak(carry, uniform):
            node, action, talking = carry
            token = draw(policy[jnp.minimum(state, mdp.num_states - 1), node], uniform)
            found = meaning[node, token]
            ended = talking & (found >= 0)
            out = (node, token, talking)
            going_on = talking & ~ended
            after = jnp.where(going_on, child[node, token], 0)
            return (after, jnp.where(ended, found, action), going_on), out

        nothing = jnp.zeros_like(state)
        begin = (nothing, nothing, state < mdp.num_states)
        (_, action, _), said = jax.lax.scan(speak, begin, uniform_LN)
        return action, said

    @functools.partial(jax.jit, static_argnums=(1, 2))
    def sample(key: jax.Array, num_groups: int, group_size: int) -> Rollouts:
        N, T, L = num_groups * group_size, mdp.max_steps, tree.longest
        start_key, word_key, world_key = jax.random.split(key, 3)
        first = draw(start, jax.random.uniform(start_key, (num_groups,)))

        def step(state, uniform):
            words, world = uniform
            action, (node, token, said) = respond(state, words)
            here = jnp.minimum(state, mdp.num_states - 1)
            live = state < mdp.num_states
            after = jnp.where(
                live, draw(follow[here, action], world), mdp.num_states
            ).astype(jnp.int32)
            earned = jnp.where(live, reward[here, action, after], 0)
            return after, (here, after, earned, node, token, said, live)

        uniform = (
            jax.random.uniform(word_key, (T, L, N)),
            jax.random.uniform(world_key, (T, N)),
        )
        begin = jnp.repeat(first, group_size)
        _, found = jax.lax.scan(step, begin, uniform)
        here, after, earned, node, token, said, live = found
        return Rollouts(
            state=here.T,
            next_state=after.T,
            reward=earned.T,
            node=jnp.moveaxis(node, 2, 0),
            token=jnp.moveaxis(token, 2, 0),
            said=jnp.moveaxis(said, 2, 0),
            live=live.T,
            group=jnp.repeat(jnp.arange(num_groups), group_size),
        )

    return sample
