"""Append-only episodes, and an update whose step is the gradient itself."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from steppo_jax.actor.rollout import RolloutSettings, policy_speaks, rollout
from steppo_jax.envs import context
from steppo_jax.learner.state import OptimizerSettings
from steppo_jax.learner.update import Learner
from steppo_jax.models.heads import Critic, Policy
from tests import toy


class Gradient(OptimizerSettings):
    """Plain SGD: the parameters move by −rate · gradient, whatever its size."""

    def make(self) -> optax.GradientTransformation:
        return optax.sgd(self.learning_rate)

    adamw = make


def decoder(env, dtype: str = "float32"):
    """Rotary positions and grouped heads that a mesh of two can share."""
    return dataclasses.replace(
        toy.DECODER,
        heads=4,
        kv_heads=2,
        positions="rope",
        max_positions=None,
        rope_theta=100.0,
        dtype=dtype,
        param_dtype=dtype,
    )


def environment(policy: str = "append", turns: int | None = None, **changes):
    return context.wrap(dataclasses.replace(toy.ENV, **changes), policy, turns)


def sampler(env):
    """Parameters of the policy that speaks in `played`."""
    place = jnp.zeros((1, 1), jnp.int32)
    return Policy(decoder(env)).init(jax.random.key(0), place, place, place + 1)


def played(env):
    """8 episodes with rewards that differ between steps."""
    policy, params = Policy(decoder(env)), sampler(env)
    id_N = jnp.arange(8, dtype=jnp.int32)
    play = RolloutSettings(env.max_steps, env.on_time_limit)
    speak = policy_speaks(policy, params, env, play)
    rolled = jax.jit(
        lambda: rollout(
            speak,
            env,
            play,
            jax.random.key(0),
            id_N // 4 % toy.NUM_GOALS,
            id_N,
            id_N // 4,
            jnp.int32(0),
        )
    )()
    noise = jax.random.normal(jax.random.key(5), rolled.steps.reward.shape)
    reward = jnp.where(rolled.steps.valid, rolled.steps.reward + 0.3 * noise, 0.0)
    return rolled.replace(steps=rolled.steps.replace(reward=reward))


def doubled(tree):
    """The same numbers in float64, where jax has it."""

    real = jax.dtypes.canonicalize_dtype(float)

    def wide(x):
        return x.astype(real) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(wide, tree)


def learner(method: str, env, dtype: str = "float32", **changes) -> Learner:
    """As `toy.learner`, learning by plain SGD with a network for this environment."""
    rates = {"policy": Gradient(0.01)}
    if toy.GRID[method]["estimator"].endswith("gae") and "critic_coef" not in changes:
        rates["critic"] = Gradient(0.01)
    the = toy.learner(method, **(rates | changes))
    critic = the.critic
    if isinstance(critic, Critic):
        critic = Critic(decoder(env, dtype))
    return dataclasses.replace(the, policy=Policy(decoder(env, dtype)), critic=critic)


def step_of(before, after) -> np.ndarray:
    """All that policy and critic moved by, as one vector on the host."""
    moved = jax.tree.map(
        lambda a, b: np.asarray(b, np.float64) - np.asarray(a, np.float64),
        (before.policy, before.critic),
        (after.policy, after.critic),
    )
    return np.concatenate([x.ravel() for x in jax.tree.leaves(moved)])


def apart(found: np.ndarray, wanted: np.ndarray) -> float:
    """‖found − wanted‖ / ‖wanted‖."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
