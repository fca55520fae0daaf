"""REINFORCE++-baseline (arXiv 2501.03262; method.md §2.4)."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.groups import compare_returns
from steppo_jax.credit.segments import timeline


def reinforce_pp_baseline(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """A = R − mean_g R on every step, R = Σ_t r_t, mean over the group's trajectories.

    Usual normalisation: whitening over all response tokens of the batch, in place
    of a std per group. Equal returns give exactly 0. A group of one gives 0
    (official: R).
    """
    advantage = compare_returns(
        batch, timeline(batch.steps), divide_by_std=False, official=settings.official
    )
    return Credit(advantage, jnp.zeros_like(advantage))


ESTIMATOR = Estimator(
    name="reinforce_pp_baseline",
    estimate=reinforce_pp_baseline,
    level="step",
    critic="none",
    options=(),
    normalise="token_batch",
    needs_groups=True,
    has_official=True,
    summary="return minus the group's mean, whitened (REINFORCE++-baseline)",
)
