"""LightningRL: the return of the trajectory on each of its steps (arXiv 2508.03680)."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.groups import Groups, standardise, task_groups, trajectory_total
from steppo_jax.credit.segments import timeline


def trajectory_return(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """A = (R − mean)/(std + 1e-6) on every step, R = Σ_t r_t of its trajectory.

    LightningRL gives every step the return of its trajectory and then compares the
    *steps* of a task as single-turn samples: mean and std count a trajectory once
    per step, so long ones weigh more. GRPO counts each trajectory once, and equals
    this where all trajectories are equally long. Std with ddof 0; equal returns, and
    a task with one trajectory, give exactly 0; without `divide_by_std`, R − mean.
    """
    line = timeline(batch.steps)
    reward = batch.step_reward()
    tasks = task_groups(batch.steps, line)
    advantage = standardise(
        trajectory_total(reward, line),
        trajectory_total(jnp.abs(reward), line),
        Groups(tasks.group, batch.steps.valid),
        divide_by_std=settings.divide_by_std is not False,
        ddof=0,
        raw_singletons=False,
    )
    return Credit(advantage, jnp.zeros_like(advantage))


ESTIMATOR = Estimator(
    name="trajectory_return",
    estimate=trajectory_return,
    level="step",
    critic="none",
    options=("divide_by_std",),
    needs_groups=True,
    summary="return of the trajectory, normalised over the task's steps (LightningRL)",
)
