"""Estimates of KL(π‖π_ref) from sampled tokens, as a loss or in the reward.

With d = log π(a) − log π_ref(a) of a token sampled from π (J. Schulman,
"Approximating KL divergence", 2020):
  k1 = d              unbiased, signed
  k2 = d²/2           biased, its gradient is that of the KL on-policy
  k3 = e^{−d} − 1 + d unbiased, ≥ 0 (verl's "low_var_kl", the official choice)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked

KL_KINDS = ("k1", "k2", "k3")
LOG_LIMIT = 20.0  # |d| of k3, and
K3_LIMIT = 10.0  # k3 itself, are cut here as in the official code


def kl_estimate(kind: str, log_prob: jax.Array, ref_log_prob: jax.Array) -> jax.Array:
    """Estimate per token, any shape. Raises ValueError for an unknown kind."""
    check_kl(kind)
    d = log_prob - ref_log_prob
    if kind == "k1":
        return d
    if kind == "k2":
        return 0.5 * d**2
    d = jnp.clip(d, -LOG_LIMIT, LOG_LIMIT)
    return jnp.clip(jnp.exp(-d) - 1 + d, -K3_LIMIT, K3_LIMIT)


def kl_in_reward(
    token_reward: jax.Array,
    old_log_prob: jax.Array,
    ref_log_prob: jax.Array,
    response_mask: jax.Array,
    *,
    kind: str,
    coef: float | jax.Array,
) -> jax.Array:
    """r_i − coef · KL_i at response tokens (docs/official.md §4: RLOO, REINFORCE++)."""
    penalty = kl_estimate(
        kind,
        masked.select(old_log_prob, response_mask),
        masked.select(ref_log_prob, response_mask),
    )
    return token_reward - masked.select(coef * penalty, response_mask)


def check_kl(kind: str):
    """Refuses an unknown kind, listing the known ones."""
    if kind not in KL_KINDS:
        raise ValueError(f"kl={kind!r} is unknown; known: {', '.join(KL_KINDS)}")
