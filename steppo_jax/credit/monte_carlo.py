"""The advantage that the actor measured by branching from the states of a rollout."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator


def monte_carlo(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """A_t = r_t + V̂(s_{t+1}) − V̂(s_t), V̂ the mean return of branched rollouts.

    Reads `Steps.branch_advantage`. It is NaN where the actor has not measured it,
    and stays so: a learner must notice.
    """
    del settings
    advantage = masked.select(batch.steps.branch_advantage, batch.steps.valid)
    return Credit(advantage, jnp.zeros_like(advantage))


ESTIMATOR = Estimator(
    name="monte_carlo",
    estimate=monte_carlo,
    level="step",
    critic="none",
    options=(),
    needs_branching=True,
    summary="advantage measured by branching from the states of the rollout",
)
