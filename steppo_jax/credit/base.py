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

    def to_tokens(self, x_B: jax.Array) -> jax.Array:
        """[S, L] the step's value at each of its response tokens, 0 elsewhere."""
        return masked.take(x_B, self.step_id)


@struct.dataclass
class Credit:
    """Advantage and value target, both [B] (step level) or both [S, L] (token level).

    `value_target` is advantage + value before any normalisation; zeros for
    estimators without a critic.
    """

    advantage: jax.Array
    value_target: jax.Array


@dataclasses.dataclass(frozen=True)
class CreditSettings:
    """Numbers an estimator may use. γ and λ may be traced (one compile per sweep)."""

    gamma: float | jax.Array | None = None
    lam: float | jax.Array | None = None
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
    needs_groups: bool = False  # meaningless with one trajectory per task
    needs_branching: bool = False  # reads Steps.branch_advantage
    summary: str = ""  # one line for --help and the docs table
