"""GRPO over whole trajectories (arXiv 2402.03300; method.md §2.4, row GRPO)."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.groups import compare_returns
from steppo_jax.credit.segments import timeline


def grpo(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """A = (R − mean_g R)/(std_g R + 1e-6) on every step, R = Σ_t r_t.

    Mean and std are over the trajectories of the group, one count each; without
    `divide_by_std`, A = R − mean (Dr. GRPO, arXiv 2503.20783). Equal returns give
    exactly 0. Ours: std with ddof 0, and a group of one gives 0. Official: ddof 1,
    and a group of one keeps R.
    """
    advantage = compare_returns(
        batch,
        timeline(batch.steps),
        divide_by_std=settings.divide_by_std is not False,
        official=settings.official,
    )
    return Credit(advantage, jnp.zeros_like(advantage))


ESTIMATOR = Estimator(
    name="grpo",
    estimate=grpo,
    level="step",
    critic="none",
    options=("divide_by_std",),
    needs_groups=True,
    has_official=True,
    summary="group-normalised return of the trajectory on every step (GRPO)",
)
