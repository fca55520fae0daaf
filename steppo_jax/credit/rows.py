"""Credit for users of other code bases: one row per step, arrays as in verl.

Not used by the learner, which has the two tables. Arrays may be NumPy or JAX;
ids may be anything NumPy can sort (integers, strings).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from steppo_jax.credit import registry
from steppo_jax.credit.base import CreditSettings
from steppo_jax.credit.normalise import normalise
from steppo_jax.credit.row_batch import row_batch
from steppo_jax.credit.rows_checks import (
    check_inputs,
    check_shapes,
    check_steps,
    numbered,
    settings_of,
)

Array = Any  # NumPy or JAX


def from_rows(
    estimator: str,
    token_reward_BL: Array,
    response_mask_BL: Array,
    traj_id_B: Array,
    step_index_B: Array,
    *,
    group_id_B: Array | None = None,
    state_key_B: Array | None = None,
    value_BL: Array | None = None,
    truncated_B: Array | None = None,
    next_value_B: Array | None = None,
    branch_advantage_B: Array | None = None,
    gamma: float | jax.Array = 1.0,
    lam: float | jax.Array = 1.0,
    official: bool = True,
    **options: Any,
) -> tuple[jax.Array, jax.Array]:
    """Advantage and value target `[B, L]`, both × response mask.

    Args:
      estimator: a name of `credit.names()`.
      token_reward_BL: reward per response place (verl: the step's reward on the
        last token, plus KL where that is in the reward).
      response_mask_BL: 1 at generated tokens; holes and empty rows are fine.
      traj_id_B, step_index_B: which trajectory, which position in it (0, 1, …).
      group_id_B: the task (verl: `uid`), for estimators that compare trajectories.
      state_key_B: key of the anchor observation, for `gigpo`.
      value_BL: the critic before each response place; `[:, 0]` is the last prompt
        token, which step-level estimators read.
      truncated_B, next_value_B: rows where a limit cut the trajectory, and the
        value of the true next state there; only with `official=False`.
      branch_advantage_B: measured advantage of the step, for `monte_carlo`.
      official: True follows the official code (docs/official.md §1, §4): no bootstrap,
        std with ddof 1, a group of one keeps its raw reward, rewards outside the
        mask are lost, REINFORCE++ stays inside the row. Where it gives NaN or
        raises (one row, one token), this gives 0; the second output of its group
        methods is the advantage again. False is the learner's own semantics:
        rewards outside the mask move to the row's last response token, or stay
        with the step if it has none.
      options: `normalise=` a kind of `credit.normalise` (default: what the
        official code does for this estimator), and fields of `CreditSettings`.

    Raises ValueError naming the argument: an unknown estimator or option, an option
    the estimator would ignore, a missing input, shapes that differ, steps that are
    repeated or missing.
    """
    entry = registry.get(estimator)
    kind = options.pop("normalise", entry.normalise)
    settings = settings_of(entry, gamma, lam, official, options)
    check_inputs(
        entry,
        official,
        group_id=group_id_B,
        state_key=state_key_B,
        value=value_BL,
        truncated=truncated_B,
        next_value=next_value_B,
        branch=branch_advantage_B,
    )
    traj_B = numbered(traj_id_B)
    check_steps(traj_id_B, traj_B, step_index_B)
    tables = {
        "token_reward_BL": token_reward_BL,
        "response_mask_BL": response_mask_BL,
        "value_BL": value_BL,
    }
    columns = {
        "traj_id_B": traj_B,
        "step_index_B": step_index_B,
        "group_id_B": numbered(group_id_B),
        "state_key_B": numbered(state_key_B),
        "truncated_B": truncated_B,
        "next_value_B": next_value_B,
        "branch_advantage_B": branch_advantage_B,
    }
    tables, columns = (
        {
            k: x if isinstance(x, jax.Array) else np.asarray(x)
            for k, x in group.items()
            if x is not None
        }
        for group in (tables, columns)
    )
    check_shapes(np.shape(token_reward_BL), tables, columns)
    traced = {k: x for k, x in settings.items() if not isinstance(x, bool)}
    static = tuple(sorted((k, x) for k, x in settings.items() if k not in traced))
    return _run(tables, columns, traced, name=estimator, kind=kind, static=static)


@functools.partial(jax.jit, static_argnames=("name", "kind", "static"))
def _run(tables, columns, traced, *, name, kind, static):
    settings = CreditSettings(**traced, **dict(static))
    batch = row_batch(**tables, **columns, official=settings.official)
    credit = registry.estimate(name, batch, settings)
    advantage = normalise(kind, credit.advantage, batch, official=settings.official)
    target = credit.value_target
    if settings.official and registry.get(name).needs_groups:
        target = advantage
    return tuple(batch.to_tokens(x) if x.ndim == 1 else x for x in (advantage, target))
