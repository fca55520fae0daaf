"""What an estimator of credit is given, what it returns, and how it is registered.

An estimator is one pure function `(CreditBatch, CreditSettings) → Credit`. It
never normalises: `normalise` is its own axis of the grid.

Step tables `[B]` are whole-batch (gathered over devices: they are small); token
tables `[S, L]` are this device's sequences, whose `step_id` counts rows of the
whole-batch step table. So step-level estimators look at `[B]` arrays only, and
token-level ones carry information between steps through `[B]` arrays that they
build with `CreditBatch.per_step`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax import masked
from steppo_jax.parallel import ONE, Axis
from steppo_jax.structs import NO_STEP, Steps

Level = Literal["step", "token"]
CriticKind = Literal["none", "step", "token"]


@struct.dataclass
class CreditBatch:
    """Everything an estimator may read."""

    steps: Steps  # [B], whole batch
    value: jax.Array  # [B] V of the state a step started from (critic="step")
    next_value: jax.Array  # [B] V of the true next state where truncated, else 0
    step_id: jax.Array  # [S, L] row of the whole-batch step table, or -1
    token_value: jax.Array  # [S, L] V before each response token (critic="token")
    token_reward: jax.Array  # [S, L] reward per response token
    axis: Axis = struct.field(pytree_node=False, default=ONE)

    @property
    def response_mask(self) -> jax.Array:
        """[S, L] bool, True at response tokens."""
        return self.step_id != NO_STEP

    def per_step(self, x_SL: jax.Array) -> jax.Array:
        """[B] sums of a token table over the response tokens of each step."""
        local = masked.segment_sum(x_SL, self.step_id, self.steps.num_rows)
        return self.axis.sum(local)

    def first_and_last_tokens(self) -> tuple[jax.Array, jax.Array]:
        """Two [S, L] bool: the first and the last response token of each step."""
        ids = self.step_id
        rows = self.steps.num_rows
        place = jnp.broadcast_to(jnp.arange(ids.shape[1]), ids.shape)
        target = jnp.where(ids == NO_STEP, rows, ids).ravel()
        # A step stands in one sequence, so nothing is added over devices.
        first = jax.ops.segment_min(place.ravel(), target, rows + 1)
        last = jax.ops.segment_max(place.ravel(), target, rows + 1)
        mask = self.response_mask
        return mask & (place == first[ids]), mask & (place == last[ids])

    def num_tokens(self) -> jax.Array:
        """[B] float32, response tokens of each step."""
        return self.per_step(self.response_mask.astype(self.token_reward.dtype))

    def step_reward(self, official: bool = False) -> jax.Array:
        """[B] r_t = Σ of the token rewards of step t, so KL in the reward counts.

        A step without response tokens keeps its environment reward. The official
        code loses it (method.md §7.12): its twin gives 0 there.
        """
        summed = self.per_step(self.token_reward)
        if official:
            return masked.select(summed, self.steps.valid)
        reward = jnp.where(self.num_tokens() > 0, summed, self.steps.reward)
        return masked.select(reward, self.steps.valid)

    def value_beyond(self, official: bool = False) -> jax.Array:
        """[B] V after the last step: next_value where a limit cut the trajectory.

        0 after termination, and always 0 in the official code (method.md §7.2).
        """
        cut = self.steps.truncated & ~self.steps.terminated & (not official)
        return masked.select(self.next_value, cut)

    def to_tokens(self, x_B: jax.Array) -> jax.Array:
        """[S, L] the step's value at each of its response tokens, 0 elsewhere."""
        return masked.take(x_B, self.step_id)


@struct.dataclass
class Credit:
    """Advantage and value target, both [B] (step level) or both [S, L] (token level).

    `value_target` is advantage + value before any normalisation; for estimators
    without a critic the return-to-go where they compute one, else zeros.
    """

    advantage: jax.Array
    value_target: jax.Array


@dataclasses.dataclass(frozen=True)
class CreditSettings:
    """Numbers an estimator may use. γ and λ may be traced (one compile per sweep)."""

    gamma: float | jax.Array | None = None  # per step, or per token (token_gae)
    lam: float | jax.Array | None = None
    lam_alpha: float | jax.Array | None = None  # length-adaptive λ instead of `lam`
    token_gamma: float | jax.Array | None = None  # bi_level_gae: γ inside a step
    step_weight: float | jax.Array | None = None  # gigpo: weight of the step advantage
    divide_by_std: bool | None = None  # groups: (R − mean) or (R − mean)/std
    official: bool = False  # reproduce the official code's choices (method.md §1–2)


@dataclasses.dataclass(frozen=True)
class Estimator:
    """A registry entry: the function and what it needs."""

    name: str
    estimate: Callable[[CreditBatch, CreditSettings], Credit]
    level: Level  # shape of what it returns
    critic: CriticKind  # which values it reads
    options: tuple[str, ...]  # fields of CreditSettings it uses; others are refused
    # Those of them that have no default; of a tuple exactly one must be set.
    required: tuple[str | tuple[str, ...], ...] = ()
    normalise: str = "none"  # usual normalisation, the official code's for this one
    has_official: bool = False  # the official code has it, so there is a twin
    needs_groups: bool = False  # meaningless with one trajectory per task
    needs_state_keys: bool = False  # compares steps by Steps.state_key
    needs_branching: bool = False  # reads Steps.branch_advantage
    summary: str = ""  # one line for --help and the docs table
