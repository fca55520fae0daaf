"""The advantage of each step, measured by playing on from its state again and again.

An environment's state is a pytree, so any state of a rollout can be continued as
often as one likes. With V̂(s) the mean discounted return of K such branches,

    A_t = r_t + γ V̂(s_{t+1}) − V̂(s_t),      V̂ = 0 beyond the end of an episode.

Every V̂ is unbiased for the value under the policy that branches, so A_t is too. The
branches of s_{t+1} and of s_t are different draws; V̂(s_{t+1}) is used in A_t and, with
the other sign, in A_{t+1}, so neighbours are correlated. The variance is that of the
return, twice, over K.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from steppo_jax.actor.rollout import Rollout, RolloutSettings, Speak, fold, keep
from steppo_jax.envs.base import Environment


@dataclasses.dataclass(frozen=True)
class BranchSettings:
    """How the value of a state is measured."""

    branches: int  # K episodes from every state
    gamma: float  # discount per step


def advantages(
    speak: Speak,
    env: Environment,
    settings: RolloutSettings,
    rolled: Rollout,
    key: jax.Array,
    how: BranchSettings,
) -> tuple[jax.Array, jax.Array]:
    """(advantage [B], V̂ [B]) of every valid step, NaN and 0 elsewhere.

    Rows are those of `rollout` with its states kept: T = `settings.max_steps` of them
    for each trajectory. A limit is an end here: what comes after it is not counted.
    A branch draws from `key` folded with trajectory, step and branch.
    """
    T, steps = settings.max_steps, rolled.steps
    B = steps.num_rows
    value_B = values(speak, env, settings, rolled, key, how)
    next_B = jnp.concatenate([value_B[1:], jnp.zeros((1,))])
    goes_on_B = steps.valid & ~steps.terminated & (jnp.arange(B) % T < T - 1)
    advantage_B = steps.reward + how.gamma * jnp.where(goes_on_B, next_B, 0.0) - value_B
    return jnp.where(steps.valid, advantage_B, jnp.nan), value_B


def values(
    speak: Speak,
    env: Environment,
    settings: RolloutSettings,
    rolled: Rollout,
    key: jax.Array,
    how: BranchSettings,
) -> jax.Array:
    """V̂ [B] = mean over branches of Σ_i γ^i r_{t+i}; 0 in invalid rows.

    One chunk of B/T states with all their branches is played at a time, valid ones
    first; a chunk takes as long as its longest episode, an empty one no time.
    """
    T, K, steps = settings.max_steps, how.branches, rolled.steps
    B = steps.num_rows
    order_B = jnp.argsort(~steps.valid, stable=True)
    play = functools.partial(_branch, speak, env, how.gamma)

    def chunk(index_M):
        M = index_M.shape[0]

        def spread(x):
            return jnp.repeat(x[index_M], K, axis=0)

        (state, prompt_MP), step_M = jax.tree.map(spread, (rolled.start, steps))
        key_M = jnp.broadcast_to(key, (M * K,))
        for number_M in (step_M.traj_id, step_M.step_index, jnp.tile(jnp.arange(K), M)):
            key_M = jax.vmap(jax.random.fold_in)(key_M, number_M)
        left_M = jnp.where(step_M.valid, T - step_M.step_index, 0)
        return play(state, prompt_MP, key_M, left_M).reshape(M, K).mean(axis=1)

    mean_B = jax.lax.map(chunk, order_B.reshape(T, B // T)).reshape(B)
    return jnp.zeros((B,)).at[order_B].set(mean_B)


def _branch(
    speak: Speak,
    env: Environment,
    gamma: float,
    state,
    prompt_MP: jax.Array,
    key_M: jax.Array,
    left_M: jax.Array,
) -> jax.Array:
    """[M] discounted returns of episodes that go on for at most `left_M` steps."""

    def unfinished(carry):
        return carry[-2].any()

    def play(carry):
        state, prompt_MP, total_M, alive_M, i = carry
        response = speak(state, prompt_MP, fold(key_M, i))
        after, seen_MP, reward_M, ended_M = jax.vmap(env.step)(state, response.token)
        total_M = total_M + jnp.where(alive_M, gamma**i * reward_M, 0.0)
        state, prompt_MP = keep(alive_M, (after, seen_MP), (state, prompt_MP))
        alive_M = alive_M & ~ended_M & (i + 1 < left_M)
        return state, prompt_MP, total_M, alive_M, i + 1

    start = (state, prompt_MP, jnp.zeros(left_M.shape), left_M > 0, jnp.int32(0))
    return jax.lax.while_loop(unfinished, play, start)[2]
