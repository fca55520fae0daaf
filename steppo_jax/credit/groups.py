"""Statistics inside groups: the trajectories of a task, or steps from one state.

A group is a set of rows that share a number. Each member counts once, whatever
number of rows it has: the rows that stand for a member are marked `counted`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax import masked
from steppo_jax.credit.base import CreditBatch
from steppo_jax.credit.segments import Timeline
from steppo_jax.structs import Steps

EPS = 1e-6  # added to the std of a group, as in the official code
ROUNDING = 1e-6  # a spread below this share of the scale is rounding, not signal


@struct.dataclass
class Groups:
    """Which rows belong together, and which of them count as one member."""

    group: jax.Array  # [B] int32 number of the row's group; -1 where invalid
    counted: jax.Array  # [B] bool, one row of each member

    def total(self, x_B: jax.Array) -> jax.Array:
        """[B] at each row, the sum of x over the members of its group."""
        kept = masked.select(x_B, self.counted)
        table = masked.segment_sum(kept, self.group, x_B.shape[0])
        return masked.take(table, self.group)

    def size(self, dtype=jnp.float32) -> jax.Array:
        """[B] at each row, the number of members of its group."""
        return self.total(self.counted.astype(dtype))


def task_groups(steps: Steps, line: Timeline) -> Groups:
    """The trajectories of one task: one count for each trajectory."""
    return Groups(masked.number((steps.group_id,), steps.valid), line.is_first)


def compare_returns(
    batch: CreditBatch, line: Timeline, *, divide_by_std: bool, official: bool
) -> jax.Array:
    """[B] on every step, the trajectory's return Σ_t r_t relative to its task's group.

    (R − mean)/(std + 1e-6), or R − mean; one count per trajectory. A group of one
    gives 0 (official: R). Ours: ddof 0; official: 1.
    """
    reward = batch.step_reward(official)
    return standardise(
        trajectory_total(reward, line),
        trajectory_total(jnp.abs(reward), line),
        task_groups(batch.steps, line),
        divide_by_std=divide_by_std,
        ddof=int(official),
        raw_singletons=official,
    )


def trajectory_total(x_B: jax.Array, line: Timeline) -> jax.Array:
    """[B] at each row, the sum of x over its trajectory."""
    valid = line.traj >= 0
    return Groups(line.traj, valid).total(x_B)


def centre(x_B: jax.Array, scale_B: jax.Array, groups: Groups) -> jax.Array:
    """[B] x − mean of its group; exactly 0 where the members are equal.

    `scale` says how large the numbers were that x was added up from: a spread
    within their rounding counts as equal, else dividing it by a std of the same
    size would turn noise into advantages of order one.
    """
    count = groups.size(x_B.dtype)
    away = masked.select(x_B, groups.group >= 0)
    for _ in range(2):  # the second pass takes off the rounding of the first mean
        away = away - masked.divide(groups.total(away), count)
    noise = ROUNDING**2 * groups.total(scale_B**2)
    return jnp.where(groups.total(away**2) <= noise, 0, away)


def standardise(
    x_B: jax.Array,
    scale_B: jax.Array,
    groups: Groups,
    *,
    divide_by_std: bool,
    ddof: int,
    raw_singletons: bool,
) -> jax.Array:
    """[B] (x − mean)/(std + 1e-6) inside each group (GRPO, arXiv 2402.03300).

    Var = Σ(x − mean)²/(n − ddof). A group of one gives 0, or x/(1 + 1e-6) with
    `raw_singletons`, where the official code sets mean 0 and std 1.
    """
    count = groups.size(x_B.dtype)
    away = centre(x_B, scale_B, groups)
    var = masked.divide(groups.total(away**2), jnp.maximum(count - ddof, 0))
    divisor = jnp.sqrt(var) + EPS if divide_by_std else jnp.ones_like(var)
    raw = x_B / (1 + EPS) if divide_by_std else x_B
    result = jnp.where(count > 1, away / divisor, raw if raw_singletons else 0)
    return masked.select(result, groups.group >= 0)
