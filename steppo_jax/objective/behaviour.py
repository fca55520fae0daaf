"""Truncated importance correction: data that other weights sampled, or another engine.

The ratio of the clipped loss is π_θ/π_old, with π_old the policy that the update starts
from. Where the sampler μ was not π_old, the expectation is corrected apart, by
min(π_old/μ, cap) on the advantage of each token (decoupled PPO, arXiv 2110.00641;
truncation after IMPALA, arXiv 1802.01561).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked


def behaviour_weight(
    old_log_prob_SL: jax.Array,
    behaviour_log_prob_SL: jax.Array,
    mask_SL: jax.Array,
    cap: float,
) -> tuple[jax.Array, jax.Array]:
    """min(exp(log π_old − log μ), cap) of each response token, [S, L], 0 elsewhere.

    Also where the cap binds, [S, L] bool. Both are numbers: no gradient flows.
    """
    gap = masked.select(old_log_prob_SL - behaviour_log_prob_SL, mask_SL)
    weight = jnp.exp(jnp.minimum(gap, jnp.log(cap)))  # never overflows
    weight = jax.lax.stop_gradient(masked.select(weight, mask_SL))
    return weight, mask_SL & (gap > jnp.log(cap))
