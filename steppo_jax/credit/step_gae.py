"""Step GAE: the credit of StepPO (arXiv 2604.18401; method.md §1.2)."""

from __future__ import annotations

from steppo_jax import masked
from steppo_jax.credit import lam
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.segments import following, reverse_scan, timeline


def step_gae(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """GAE over interaction steps, one value per step.

    δ_t = r_t + γ V_{t+1} − V_t,  A_t = δ_t + γλ A_{t+1},  target_t = A_t + V_t

    V_t `[B]` is the critic at the last prompt token of step t. Beyond the last
    step V is 0 after termination and `next_value` after truncation; the official
    code uses 0 for both.
    """
    gamma = settings.gamma
    line = timeline(batch.steps)
    value = masked.select(batch.value, batch.steps.valid)
    next_value = following(value, line, batch.value_beyond(settings.official))
    delta = batch.step_reward(settings.official) + gamma * next_value - value
    one_per_step = batch.steps.valid.astype(delta.dtype)
    decay = gamma * lam.lam_by_step(batch, settings, line, one_per_step)
    advantage = reverse_scan(decay, delta, line)
    return Credit(advantage, masked.select(advantage + value, batch.steps.valid))


ESTIMATOR = Estimator(
    name="step_gae",
    estimate=step_gae,
    level="step",
    critic="step",
    options=("gamma", *lam.CHOICE),
    required=("gamma", lam.CHOICE),
    normalise="batch",
    has_official=True,
    summary="GAE over interaction steps (StepPO)",
)
