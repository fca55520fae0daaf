"""RLOO: leave-one-out baseline (arXiv 2402.14740; method.md §2.4, row RLOO)."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.groups import compare_returns, task_groups
from steppo_jax.credit.segments import timeline


def rloo(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """A = R − mean of the group's other returns = n/(n−1) (R − mean_g R), R = Σ_t r_t.

    On every step of the trajectory. Equal returns give exactly 0. A group of one
    gives 0 (official: R).
    """
    line = timeline(batch.steps)
    count = task_groups(batch.steps, line).size()
    others = jnp.where(count > 1, masked.divide(count, count - 1), 1)
    centred = compare_returns(
        batch, line, divide_by_std=False, official=settings.official
    )
    return Credit(others * centred, jnp.zeros_like(centred))


ESTIMATOR = Estimator(
    name="rloo",
    estimate=rloo,
    level="step",
    critic="none",
    options=(),
    needs_groups=True,
    has_official=True,
    summary="return minus the mean of the group's other trajectories (RLOO)",
)
