"""Normalisation of advantages: an axis of the grid of its own.

Every kind is a whitening (x − mean)/(std + ε) under a choice of what counts once:

| kind          | counts once             | mean and std over              |
|---------------|-------------------------|--------------------------------|
| `none`        |                         |                                |
| `batch`       | each step               | all valid steps (StepPO)       |
| `token_batch` | each response token     | all response tokens (PPO)      |
| `group`       | each step               | the steps of the same task     |

A step-level advantage stands for all tokens of its step, so `token_batch` weighs
it by their number. The tokens of a step share its one count where steps count, so
`batch` is the same measure at both levels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import CreditBatch
from steppo_jax.credit.groups import ROUNDING

KINDS = ("none", "batch", "token_batch", "group")
EPS = 1e-8


def normalise(
    kind: str, advantage: jax.Array, batch: CreditBatch, *, official: bool = False
) -> jax.Array:
    """Whitens advantages, `[B]` (step level) or `[S, L]` (token level).

    x ← (x − Σwx/Σw) / (std + 1e-8), Var = Σw(x − mean)²/(Σw − ddof), w from the
    table above. Ours: ddof 0. Official: ddof 1, and for `token_batch` the divisor
    √(Var + 1e-8) (method.md §1.2, §2.4). Where Σw ≤ 1 the official code gives NaN
    or raises; here one entry, like any number of equal ones, gives 0.

    Raises ValueError for an unknown kind, listing the known ones.
    """
    if kind not in KINDS:
        raise ValueError(f"normalise={kind!r} is unknown; known: {', '.join(KINDS)}")
    if kind == "none":
        return advantage
    weight = _weight(kind, advantage.ndim == 2, batch)
    kept = weight > 0
    x = masked.select(advantage, kept)
    total = _totals(kind == "group", advantage.ndim == 2, batch)
    count = total(weight)
    mean = masked.divide(total(weight * x), count)
    away = masked.select(x - mean, kept)
    # What rounding left of the mean, taken off both moments.
    rest = masked.divide(total(weight * away), count)
    squares = total(weight * away**2) - count * rest**2
    away = masked.select(away - rest, kept)
    # Equal entries give exactly 0; whitening would blow their rounding up.
    equal = squares <= ROUNDING**2 * (squares + count * mean**2)
    away = jnp.where(equal, 0, away)
    var = masked.divide(squares, jnp.maximum(count - int(official), 0))
    if official and kind == "token_batch":
        return away * jax.lax.rsqrt(var + EPS)
    return away / (jnp.sqrt(var) + EPS)


def _weight(kind: str, per_token: bool, batch: CreditBatch) -> jax.Array:
    """How much each entry counts, in the shape of the advantage."""
    if kind == "token_batch":
        if per_token:
            return batch.response_mask.astype(batch.token_reward.dtype)
        return masked.select(batch.num_tokens(), batch.steps.valid)
    if per_token:
        return batch.to_tokens(masked.divide(1.0, batch.num_tokens()))
    return batch.steps.valid.astype(batch.token_reward.dtype)


def _totals(by_group: bool, per_token: bool, batch: CreditBatch):
    """A function that adds an array over the entries each entry is compared with."""
    steps = batch.steps
    if not by_group:
        across = batch.axis.sum if per_token else _here
        return lambda x: across(x.sum())
    group = masked.number((steps.group_id,), steps.valid)

    def total(x):
        per_step = batch.per_step(x) if per_token else x
        table = masked.segment_sum(per_step, group, steps.num_rows)
        at_step = masked.take(table, group)
        return batch.to_tokens(at_step) if per_token else at_step

    return total


def _here(x: jax.Array) -> jax.Array:
    """Step tables are whole-batch on every device: nothing to add."""
    return x
