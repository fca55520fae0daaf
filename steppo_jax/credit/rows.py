"""Credit for users of other code bases: one row per step, arrays as in verl.

Not used by the learner, which has the two tables. Arrays may be NumPy or JAX;
ids may be anything NumPy can sort (integers, strings).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from steppo_jax import masked
from steppo_jax.credit import registry
from steppo_jax.credit.base import CreditBatch, CreditSettings
from steppo_jax.credit.normalise import normalise
from steppo_jax.credit.rows_checks import (
    check_inputs,
    check_shapes,
    check_steps,
    numbered,
    settings_of,
)
from steppo_jax.structs import NO_STEP, Steps

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
      official: True follows the official code (method.md §1.2, §2.4): no bootstrap,
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
    check_steps(traj_id_B, step_index_B)
    shape = np.shape(token_reward_BL)
    no_B = np.zeros(shape[:1])
    tables = {
        "token_reward_BL": jnp.asarray(token_reward_BL, float),
        "response_mask_BL": jnp.asarray(response_mask_BL) != 0,
        "value_BL": jnp.asarray(_or(value_BL, np.zeros(shape)), float),
    }
    columns = {
        "traj_id_B": numbered(traj_id_B),
        "step_index_B": jnp.asarray(step_index_B),
        "group_id_B": numbered(_or(group_id_B, no_B)),
        "state_key_B": numbered(_or(state_key_B, no_B)),
        "truncated_B": jnp.asarray(_or(truncated_B, no_B)) != 0,
        "next_value_B": jnp.asarray(_or(next_value_B, no_B), float),
        "branch_advantage_B": jnp.asarray(_or(branch_advantage_B, no_B), float),
    }
    check_shapes(shape, tables, columns)
    traced = {k: x for k, x in settings.items() if not isinstance(x, bool)}
    static = tuple(sorted((k, x) for k, x in settings.items() if k not in traced))
    return _run(tables, columns, traced, name=estimator, kind=kind, static=static)


@struct.dataclass
class RowBatch(CreditBatch):
    """A batch whose sequence b holds the response of step b: plain sums over rows."""

    def per_step(self, x_SL: jax.Array, step_id: jax.Array | None = None) -> jax.Array:
        step_id = self.step_id if step_id is None else step_id
        return masked.select(x_SL, step_id != NO_STEP).sum(1)

    def to_tokens(self, x_B: jax.Array) -> jax.Array:
        return jnp.where(self.response_mask, x_B[:, None], 0)


@functools.partial(jax.jit, static_argnames=("name", "kind", "static"))
def _run(tables, columns, traced, *, name, kind, static):
    settings = CreditSettings(**traced, **dict(static))
    batch = _batch(**tables, **columns, official=settings.official)
    credit = registry.estimate(name, batch, settings)
    advantage = normalise(kind, credit.advantage, batch, official=settings.official)
    target = credit.value_target
    if settings.official and registry.get(name).needs_groups:
        target = advantage
    return tuple(batch.to_tokens(x) if x.ndim == 1 else x for x in (advantage, target))


def _batch(
    token_reward_BL,
    response_mask_BL,
    value_BL,
    traj_id_B,
    step_index_B,
    group_id_B,
    state_key_B,
    truncated_B,
    next_value_B,
    branch_advantage_B,
    official,
) -> RowBatch:
    """The two tables of a batch in which every row is one step."""
    num_rows, length = token_reward_BL.shape
    place = jnp.arange(length)[None]
    kept = masked.select(token_reward_BL, response_mask_BL)
    outside = ~response_mask_BL & ~jnp.isnan(token_reward_BL)  # NaN there is padding
    lost = masked.select(token_reward_BL, outside).sum(1, keepdims=True)
    if not official:
        at_last = place == jnp.where(response_mask_BL, place, -1).max(1, keepdims=True)
        kept = kept + masked.select(jnp.broadcast_to(lost, kept.shape), at_last)
    steps = Steps(
        reward=masked.select(token_reward_BL, response_mask_BL).sum(1) + lost[:, 0],
        traj_id=traj_id_B,
        step_index=step_index_B,
        group_id=group_id_B,
        terminated=~truncated_B,
        truncated=truncated_B,
        state_key=state_key_B,
        branch_advantage=branch_advantage_B,
        valid=jnp.ones((num_rows,), bool),
    )
    return RowBatch(
        steps=steps,
        value=value_BL[:, 0],
        next_value=next_value_B,
        step_id=jnp.where(response_mask_BL, jnp.arange(num_rows)[:, None], NO_STEP),
        token_value=value_BL,
        token_reward=kept,
    )


def _or(x: Array | None, default: Array) -> Array:
    return default if x is None else x
