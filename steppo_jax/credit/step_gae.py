"""Step GAE: the credit of StepPO (arXiv 2604.18401; method.md §1.2)."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.segments import following, reverse_scan, timeline


def step_gae(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """GAE over interaction steps, one value per step.

    δ_t = r_t + γ V_{t+1} − V_t,  A_t = δ_t + γλ A_{t+1},  target_t = A_t + V_t

    V_t `[B]` is the critic at the last prompt token of step t. Beyond the last
    step V is 0 after termination and `next_value` after truncation; the official
    code uses 0 for both.
    """
    gamma, lam = settings.gamma, settings.lam
    line = timeline(batch.steps)
    value = masked.select(batch.value, batch.steps.valid)
    next_value = following(value, line, batch.value_beyond(settings.official))
    delta = batch.step_reward(settings.official) + gamma * next_value - value
    decay = jnp.broadcast_to(jnp.asarray(gamma * lam, delta.dtype), delta.shape)
    advantage = reverse_scan(decay, delta, line)
    return Credit(advantage, advantage + value)


ESTIMATOR = Estimator(
    name="step_gae",
    estimate=step_gae,
    level="step",
    critic="step",
    options=("gamma", "lam"),
    required=("gamma", "lam"),
    normalise="batch",
    summary="GAE over interaction steps (StepPO)",
)
