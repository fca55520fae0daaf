"""Importance ratios ρ = π_θ/π_old of a unit of tokens: the `ratio` axis of the grid.

| ratio             | log ρ, with z_i = log π_θ(a_i) − log π_old(a_i)    | scale |
|-------------------|------------------------------------------------------|-------|
| `token`           | z_i                                                  | 1     |
| `step`            | mean of z over the step (StepPO; GSPO per step)      | 1     |
| `step_product`    | Σ z over the step (StepPO v1)                        | n     |
| `step_calibrated` | μ̂ + Σ(z − μ̂)/√n over the step, μ̂ the batch's mean z  | √n    |
|                   | (CAPO, docs/official.md §2)                         |       |
| `trajectory`      | mean of z over the trajectory (GSPO, 2507.18071)     | 1     |

ρ is a number without gradient; token i carries the gradient scale · ρ · ∇log π(a_i),
as in GSPO-token (arXiv 2507.18071 §4.3) and the official code. Scaling makes the
sum over the unit equal ∇ρ times its size, so the gradient is that of the loss value
where advantage and weight are equal inside the unit, and each token keeps its own
advantage where they are not.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax import masked
from steppo_jax.structs import NO_STEP

RATIOS = ("token", "step", "step_product", "step_calibrated", "trajectory")
COUPLED = ("step_calibrated", "trajectory")  # need RatioSums of the whole minibatch
TOKEN_LIMIT = 20.0  # |log ρ| of a token, and
UNIT_LIMIT = 10.0  # log ρ of a larger unit, are cut here as in the official code


@struct.dataclass
class RatioSums:
    """Per row of `Steps`; adds up over micro-batches and devices."""

    log_ratio: jax.Array  # [num_steps] Σ z over the response tokens of the step
    tokens: jax.Array  # [num_steps] how many


def ratio_sums(
    log_prob_SL: jax.Array,
    old_log_prob_SL: jax.Array,
    step_id_SL: jax.Array,
    num_steps: int,
) -> RatioSums:
    """First pass of a coupled ratio: sums without gradient, to be added up."""
    mask = step_id_SL != NO_STEP
    z = masked.select(jax.lax.stop_gradient(log_prob_SL) - old_log_prob_SL, mask)
    return RatioSums(
        masked.segment_sum(z, step_id_SL, num_steps),
        masked.segment_sum(mask.astype(z.dtype), step_id_SL, num_steps),
    )


def log_ratio(
    kind: str,
    log_prob_SL: jax.Array,
    old_log_prob_SL: jax.Array,
    step_id_SL: jax.Array,
    num_steps: int,
    sums: RatioSums | None,
    traj_id_B: jax.Array | None,
) -> jax.Array:
    """[S, L] log ρ at each response token, 0 elsewhere, with the gradient above."""
    mask = step_id_SL != NO_STEP
    log_prob = masked.select(log_prob_SL, mask)
    if kind == "token":
        z = log_prob - masked.select(old_log_prob_SL, mask)
        return jnp.clip(z, -TOKEN_LIMIT, TOKEN_LIMIT)
    if sums is None:
        sums = ratio_sums(log_prob_SL, old_log_prob_SL, step_id_SL, num_steps)
    value_B, scale_B = _unit(kind, sums, traj_id_B)
    carrier = log_prob - jax.lax.stop_gradient(log_prob)
    value = masked.take(value_B, step_id_SL)
    return jnp.minimum(value + masked.take(scale_B, step_id_SL) * carrier, UNIT_LIMIT)


def _unit(kind: str, sums: RatioSums, traj_id_B: jax.Array | None):
    """(log ρ, scale), both [num_steps], of the unit each step belongs to."""
    z, n = sums.log_ratio, sums.tokens
    if kind == "step":
        return masked.divide(z, n), jnp.ones_like(n)
    if kind == "step_product":
        return z, n
    if kind == "step_calibrated":
        centre = masked.divide(z.sum(), n.sum())
        return centre + masked.divide(z - n * centre, jnp.sqrt(n)), jnp.sqrt(n)
    traj = masked.number((traj_id_B,), n > 0)
    z, n = (masked.take(masked.segment_sum(x, traj, n.size), traj) for x in (z, n))
    return masked.divide(z, n), jnp.ones_like(n)


def check_inputs(kind: str, sums: RatioSums | None, traj_id_B: jax.Array | None):
    """Refuses a coupled ratio without what it needs, and what would be ignored."""
    if kind in COUPLED and sums is None:
        raise ValueError(
            f"ratio={kind!r} couples sequences: pass ratio_sums added up over the "
            "micro-batches and devices of the minibatch"
        )
    if kind not in COUPLED and sums is not None:
        raise ValueError(f"ratio={kind!r} does not use ratio_sums; leave it out")
    if (kind == "trajectory") != (traj_id_B is not None):
        raise ValueError(f"ratio={kind!r}: traj_id_B goes with 'trajectory' only")
