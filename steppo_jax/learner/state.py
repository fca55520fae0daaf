"""What the learner owns between iterations, and the optimizers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from steppo_jax.models import lora

Params = Any


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """AdamW with a clipped global gradient norm and a constant learning rate."""

    learning_rate: float
    grad_clip: float = 1.0
    weight_decay: float = 0.0
    adam_b2: float = 0.99

    def make(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.grad_clip), self.adamw())

    def adamw(self) -> optax.GradientTransformation:
        """The same without the clip, for a gradient that is clipped already."""
        return optax.adamw(
            self.learning_rate, b2=self.adam_b2, weight_decay=self.weight_decay
        )


@struct.dataclass
class LearnerState:
    """Parameters, optimizer states and counters.

    `critic` is {} where there is none, and a value head alone on a shared trunk. With
    adapters (`models.lora`) the weights that they stand beside are in `policy` once:
    `critic` and `reference` hold their own adapters and no decoder (see `Learner`).
    """

    policy: Params
    policy_opt: optax.OptState  # for what is trained of it
    critic: Params
    critic_opt: optax.OptState
    reference: Params  # the fixed policy that KL is taken to; {} where there is none
    key: jax.Array  # base of every random draw of the run; folded, never consumed
    iteration: jax.Array  # [] int32, rollouts learned from
    num_updates: jax.Array  # [] int32, optimizer steps of the policy


@struct.dataclass
class Delayed(LearnerState):
    """A state whose next rollout is played by the weights of one iteration ago."""

    sampler: Params  # those weights
    sampler_updates: jax.Array  # [] int32, `num_updates` when they were made


PARAMETERS = ("policy", "policy_opt", "critic", "critic_opt", "reference")


def over_parameters(
    change: Callable[[Params], Params], now: LearnerState
) -> LearnerState:
    """The state with all that is shaped like parameters changed, `sampler` left out."""
    return now.replace(**{name: change(getattr(now, name)) for name in PARAMETERS})


def sampler(state: LearnerState) -> tuple[Params, jax.Array]:
    """The weights that play the next rollout, and their version."""
    if isinstance(state, Delayed):
        return state.sampler, state.sampler_updates
    return state.policy, state.num_updates


def learned(before: LearnerState, after: LearnerState) -> LearnerState:
    """The state after an iteration, the weights `before` it kept where they play."""
    after = after.replace(iteration=before.iteration + 1)
    if isinstance(after, Delayed):
        kept = {"sampler": before.policy, "sampler_updates": before.num_updates}
        after = after.replace(**kept)
    return after


def create(
    policy: Params,
    critic: Params,
    policy_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    reference: Params,
    key: jax.Array,
    delayed: bool = False,
) -> LearnerState:
    """The state before the first iteration; `delayed` makes it a `Delayed`."""
    kind, late = LearnerState, {}
    if delayed:
        kind, copied = Delayed, jax.tree.map(jnp.copy, policy)
        late = {"sampler": copied, "sampler_updates": jnp.int32(0)}
    return kind(
        policy=policy,
        policy_opt=policy_optimizer.init(lora.split(policy)[0]),
        critic=critic,
        critic_opt=critic_optimizer.init(critic),
        reference=reference,
        key=key,
        iteration=jnp.int32(0),
        num_updates=jnp.int32(0),
        **late,
    )
