"""How much each token counts in the loss: the `aggregate` axis of the grid.

Weights are computed once on the whole batch, so that they do not depend on how it
is cut into minibatches, micro-batches and devices. n is the number of response
tokens of the token's step, T the number of steps of its trajectory, N the number
of trajectories of its group, all counted where there are response tokens: steps
without tokens never count.

| aggregate    | weight   | count    | the loss is the mean over …               |
|--------------|----------|----------|-------------------------------------------|
| `token`      | 1        | 1        | tokens                                    |
| `step`       | 1/n      | 1/n      | steps, of token means (official code)     |
| `step_sum`   | 1        | 1/n      | steps, of token sums                      |
| `trajectory` | 1/nT     | 1/nT     | trajectories, of step means (the paper)   |
| `group`      | 1/nTN    | 1/nTN    | groups, of trajectory means               |
| `constant`   | 1/const  | 1/nT     | trajectories, of token sums / constant    |
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.parallel import Axis
from steppo_jax.structs import NO_STEP, Steps

AGGREGATES = ("token", "step", "step_sum", "trajectory", "group", "constant")


def loss_weights(
    steps: Steps,
    step_id_SL: jax.Array,
    axis: Axis,
    aggregate: str,
    constant: float | None = None,
) -> tuple[jax.Array, jax.Array]:
    """(weight, count), both `[S, L]`: loss = Σ weight · loss / Σ count.

    The sums run over the response tokens of a minibatch. `steps` is the whole-batch
    table and `step_id` counts its rows. `constant` is the fixed number that
    Dr. GRPO (arXiv 2503.20783) divides token sums by, usually the token budget.

    Raises ValueError for an unknown aggregate, or a constant that is missing or
    would be ignored.
    """
    check_aggregate(aggregate, constant)
    mask = step_id_SL != NO_STEP
    ones = mask.astype(steps.reward.dtype)
    num_tokens = axis.sum(masked.segment_sum(ones, step_id_SL, steps.num_rows))
    share = masked.divide(1.0, num_tokens)  # 1/n
    if aggregate in ("trajectory", "group", "constant"):
        mean = "group" if aggregate == "group" else "trajectory"
        share = share * _step_share(steps, num_tokens > 0, mean)
    share_SL = masked.take(share, step_id_SL)
    if aggregate == "token":
        return ones, ones
    if aggregate == "step_sum":
        return ones, share_SL
    if aggregate == "constant":
        return ones / constant, share_SL
    return share_SL, share_SL


def step_weights(steps: Steps, aggregate: str) -> jax.Array:
    """[B] weight of each step for a critic read once per step: a weighted mean.

    1 for every valid step; 1/T or 1/TN where the policy's loss is a mean over
    trajectories or groups.
    """
    if aggregate in ("trajectory", "group"):
        return _step_share(steps, steps.valid, aggregate)
    if aggregate not in AGGREGATES:
        check_aggregate(aggregate, None)
    return steps.valid.astype(steps.reward.dtype)


def check_aggregate(aggregate: str, constant: float | None):
    """Refuses an unknown aggregate and a constant that is missing or unused."""
    if aggregate not in AGGREGATES:
        known = ", ".join(AGGREGATES)
        raise ValueError(f"aggregate={aggregate!r} is unknown; known: {known}")
    if (constant is not None) != (aggregate == "constant"):
        raise ValueError(
            f"aggregate={aggregate!r} with constant={constant}: 'constant' needs the "
            "number to divide token sums by, and no other aggregate uses it"
        )


def _step_share(steps: Steps, counts: jax.Array, mean: str) -> jax.Array:
    """[B] 1/T (trajectory) or 1/TN (group) of the steps that count, else 0."""
    counts = counts & steps.valid
    one = counts.astype(steps.reward.dtype)

    def total(x, ids):
        number = masked.number((ids,), steps.valid)
        return masked.take(masked.segment_sum(x, number, steps.num_rows), number)

    share = masked.select(masked.divide(1.0, total(one, steps.traj_id)), counts)
    if mean == "trajectory":
        return share
    num_trajectories = jnp.round(total(share, steps.group_id))  # Σ of T times 1/T
    return masked.divide(share, num_trajectories)
