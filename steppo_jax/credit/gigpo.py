"""GiGPO: groups of trajectories and of steps from one state (arXiv 2505.10978)."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.groups import Groups, compare_returns, standardise
from steppo_jax.credit.segments import reverse_scan, timeline


def gigpo(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """A_t = A^E + ω A^S_t (GiGPO eq. 8; method.md §2.4, row GiGPO).

    A^E is the GRPO advantage of the trajectory. A^S compares the discounted returns
    G_t = r_t + γ G_{t+1} of all steps of the task that started from the same
    `state_key`: (G − mean)/(std + 1e-6), or G − mean without `divide_by_std`. A
    step whose state occurs once has A^S = 0. ω is `step_weight` (1 if unset).
    Ours: ddof 0, a trajectory alone in its task has A^E = 0. Official: ddof 1, R.
    """
    official, steps = settings.official, batch.steps
    divide_by_std = settings.divide_by_std is not False
    line = timeline(steps)
    episode = compare_returns(
        batch, line, divide_by_std=divide_by_std, official=official
    )
    reward = batch.step_reward(official)
    gamma = jnp.broadcast_to(jnp.asarray(settings.gamma, reward.dtype), reward.shape)
    anchor = masked.number((steps.group_id, steps.state_key), steps.valid)
    step = standardise(
        reverse_scan(gamma, reward, line),
        reverse_scan(gamma, jnp.abs(reward), line),
        Groups(anchor, steps.valid),
        divide_by_std=divide_by_std,
        ddof=int(official),
        raw_singletons=False,
    )
    omega = 1.0 if settings.step_weight is None else settings.step_weight
    advantage = episode + omega * step
    return Credit(advantage, jnp.zeros_like(advantage))


ESTIMATOR = Estimator(
    name="gigpo",
    estimate=gigpo,
    level="step",
    critic="none",
    options=("gamma", "divide_by_std", "step_weight"),
    required=("gamma",),
    needs_groups=True,
    needs_state_keys=True,
    has_official=True,
    summary="trajectory advantage plus that among steps from one state (GiGPO)",
)
