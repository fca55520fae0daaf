"""λ of GAE: a number, or adapted to the length of the trajectory."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax.credit.base import CreditBatch, CreditSettings
from steppo_jax.credit.groups import trajectory_total
from steppo_jax.credit.segments import Timeline

CHOICE = ("lam", "lam_alpha")  # a GAE estimator needs exactly one of the two


def lam_by_step(
    batch: CreditBatch, settings: CreditSettings, line: Timeline, length_B: jax.Array
) -> jax.Array:
    """[B] λ of the trajectory of each step.

    `lam`, or λ = max(0, 1 − 1/(α l)) with α = `lam_alpha` and l the length of the
    trajectory (VAPO, arXiv 2504.05118): the sum of `length` over its steps, so
    response tokens at token level and steps at step level.
    """
    if settings.lam_alpha is None:
        return jnp.broadcast_to(
            jnp.asarray(settings.lam, length_B.dtype), length_B.shape
        )
    length = jnp.maximum(trajectory_total(length_B, line), 1)
    return jnp.maximum(0, 1 - 1 / (settings.lam_alpha * length))
