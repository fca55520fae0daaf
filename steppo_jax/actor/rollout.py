"""Whole episodes in one compiled program: model, sampling, parsing, environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax import layout
from steppo_jax.actor.generate import Decoding, Response, generate
from steppo_jax.envs.base import Environment
from steppo_jax.models.heads import Policy
from steppo_jax.structs import Steps, Tokens, empty_branch_advantage

# What speaks in an episode: (state, observation [N, P], key [N]) → Response.
Speak = Callable[[object, jax.Array, jax.Array], Response]


@dataclasses.dataclass(frozen=True)
class RolloutSettings:
    """How episodes are collected."""

    max_steps: int
    on_time_limit: str  # "terminal" or "bootstrap"
    temperature: float = 1.0
    decoding: Decoding = "sampled"


@struct.dataclass
class Rollout:
    """N episodes as the two tables, and how each of them ended."""

    steps: Steps  # B = N·T rows, trajectory by trajectory
    tokens: Tokens
    outcome: dict[str, jax.Array]  # [N] each: the environment's metrics, return, steps
    # (environment's state, prompt) [B] that each step started from, if asked for
    start: tuple[object, jax.Array] | None = None
    episodes: Any = None  # the text path's: what was said, without arrays
    measured: dict[str, float] = struct.field(default_factory=dict)  # how it was played


@struct.dataclass
class _Moment:
    """One step of N episodes, as the scan records it."""

    prompt: jax.Array  # [N, P]
    response: Response
    reward: jax.Array  # [N]
    terminated: jax.Array  # [N]
    alive: jax.Array  # [N] bool, False once an episode is over
    state: object | None  # the environment's, before the step, if kept


def policy_speaks(
    policy: Policy, params, env: Environment, settings: RolloutSettings
) -> Speak:
    """The policy as the one who speaks."""

    def speak(state, prompt_NP, key_N):
        del state  # a policy sees observations only
        return generate(
            policy,
            params,
            prompt_NP,
            key_N,
            env.response_length,
            settings.temperature,
            settings.decoding,
        )

    return speak


def rollout(
    speak: Speak,
    env: Environment,
    settings: RolloutSettings,
    key: jax.Array,
    task_N,
    traj_id_N: jax.Array,
    group_id_N: jax.Array,
    policy_version: jax.Array,
    keep_states: bool = False,
) -> Rollout:
    """Plays N episodes to their end or to `settings.max_steps`.

    Every random draw comes from `key` folded with the trajectory's id, the step and
    the token, so an episode is the same whatever device or slot plays it.
    """
    N, T = traj_id_N.shape[0], settings.max_steps
    key_N = each(key, traj_id_N)
    state, observation_NP = jax.vmap(env.reset)(reset_keys(key_N, T), task_N)

    def play(carry, t):
        state, prompt_NP, alive_N = carry
        response = speak(state, prompt_NP, fold(key_N, t))
        response = response._replace(mask=response.mask & alive_N[:, None])
        after, seen_NP, reward_N, ended_N = jax.vmap(env.step)(state, response.token)
        ended_N = ended_N & alive_N
        moment = _Moment(
            prompt=prompt_NP,
            response=response,
            reward=jnp.where(alive_N, reward_N, 0.0),
            terminated=ended_N,
            alive=alive_N,
            state=state if keep_states else None,
        )
        # A finished episode stands still, so its last state tells how it ended.
        state, prompt_NP = keep(alive_N, (after, seen_NP), (state, prompt_NP))
        return (state, prompt_NP, alive_N & ~ended_N), moment

    start = (state, observation_NP, jnp.ones((N,), bool))
    (state, last_NP, alive_N), moments_T = jax.lax.scan(play, start, jnp.arange(T))
    outcome = jax.vmap(env.outcome)(state) | {
        "return": moments_T.reward.sum(axis=0),
        "steps": moments_T.alive.sum(axis=0).astype(jnp.float32),
    }
    flat = jax.tree.map(
        lambda x: x.swapaxes(0, 1).reshape(N * T, *x.shape[2:]), moments_T
    )
    steps = _steps(env, flat, traj_id_N, group_id_N, T)
    bootstrap = settings.on_time_limit == "bootstrap"
    last_row_N = jnp.arange(N) * T + T - 1
    tokens = layout.rows(
        flat.prompt,
        flat.response.token,
        flat.response.mask,
        flat.response.log_prob,
        policy_version,
        next_prompt_NP=last_NP if bootstrap else None,
        next_row_of_N=jnp.where(alive_N, last_row_N, -1) if bootstrap else None,
    )
    start = (flat.state, flat.prompt) if keep_states else None
    return Rollout(steps=steps, tokens=tokens, outcome=outcome, start=start)


def train_tasks(env: Environment, key: jax.Array, group_id_N: jax.Array):
    """A task of the train panel for each trajectory, the same within a group."""
    return jax.vmap(lambda k: env.sample_task(k, "train"))(each(key, group_id_N))


def each(key: jax.Array, number_N: jax.Array) -> jax.Array:
    """[N] the key folded with each number."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, number_N)


def reset_keys(key_N: jax.Array, max_steps: int) -> jax.Array:
    """Each trajectory's key for the reset: that of a step that is never played."""
    return fold(key_N, max_steps)


def fold(key_N: jax.Array, data) -> jax.Array:
    """Each key folded with the same number."""
    return jax.vmap(jax.random.fold_in, (0, None))(key_N, data)


def keep(mask_N: jax.Array, new, old):
    """Leaf by leaf, new[n] where mask_N[n], else old[n]."""

    def select(a, b):
        return jnp.where(mask_N.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(select, new, old)


def _steps(env, flat: _Moment, traj_id_N, group_id_N, T: int) -> Steps:
    N = traj_id_N.shape[0]
    index_B = jnp.tile(jnp.arange(T, dtype=jnp.int32), N)
    cut_B = flat.alive & ~flat.terminated & (index_B == T - 1)
    return Steps(
        reward=flat.reward.astype(jnp.float32),
        traj_id=jnp.repeat(traj_id_N.astype(jnp.int32), T),
        step_index=index_B,
        group_id=jnp.repeat(group_id_N.astype(jnp.int32), T),
        terminated=flat.terminated,
        truncated=cut_B,
        state_key=jax.vmap(env.state_key)(flat.prompt),
        branch_advantage=empty_branch_advantage(N * T),
        valid=flat.alive,
    )
