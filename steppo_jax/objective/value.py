"""The critic's loss and how well it explains its targets (docs/official.md §3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.objective.sums import LossSums


def value_loss(
    value: jax.Array,
    old_value: jax.Array,
    target: jax.Array,
    mask: jax.Array,
    weight: jax.Array,
    count: jax.Array,
    value_clip: float | jax.Array | None = None,
) -> LossSums:
    """Σ weight · ½ max((V − R)², (V_clip − R)²) and Σ count over mask.

    V_clip = clip(V, V_old − c, V_old + c) with c = `value_clip`; None: ½(V − R)².
    All arrays have one shape: `[B]` for a critic read once per step (weights from
    `step_weights`), `[S, L]` for one read at every token (`loss_weights`).
    """
    value, old_value, target, weight, count = (
        masked.select(x, mask) for x in (value, old_value, target, weight, count)
    )
    loss = (value - target) ** 2
    total = count.sum()
    diagnostics = {}
    if value_clip is not None:
        near = jnp.clip(value, old_value - value_clip, old_value + value_clip)
        clipped = (near - target) ** 2
        binds = jax.lax.stop_gradient((count * (clipped > loss)).sum())
        diagnostics["value_clip_fraction"] = (binds, total)
        loss = jnp.maximum(loss, clipped)
    return LossSums(0.5 * (weight * loss).sum(), total, diagnostics, {})


def explained_variance(
    value: jax.Array,
    target: jax.Array,
    mask: jax.Array,
    total: masked.Total = lambda x: x,
) -> jax.Array:
    """[] 1 − Var(target − value)/Var(target) over mask; 0 if targets do not vary."""
    _, left = masked.moments(target - value, mask, total=total)
    _, all_of_it = masked.moments(target, mask, total=total)
    return jnp.where(all_of_it > 0, 1 - masked.divide(left, all_of_it), 0)
