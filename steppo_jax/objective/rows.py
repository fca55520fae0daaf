"""The policy loss for users of other code bases: one row per step, as in verl."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import masked
from steppo_jax.objective.policy import ObjectiveSettings, policy_loss
from steppo_jax.objective.ratio import COUPLED, ratio_sums
from steppo_jax.objective.weights import check_aggregate, loss_weights
from steppo_jax.parallel import ONE
from steppo_jax.structs import NO_STEP, Steps, empty_branch_advantage

Array = Any  # NumPy or JAX


def from_rows(
    ratio: str,
    log_prob_BL: Array,
    old_log_prob_BL: Array,
    advantage_BL: Array,
    response_mask_BL: Array,
    *,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
    aggregate: str = "step",
    constant: float | None = None,
    traj_id_B: Array | None = None,
    group_id_B: Array | None = None,
    ref_log_prob_BL: Array | None = None,
    kl: str | None = None,
    kl_coef: float | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The mean loss `[]` and its gradient `[B, L]` with respect to `log_prob`.

    verl's names: ratio "token" is loss_mode "vanilla", "step" is "gspo"; aggregate
    "token" is "token-mean", "step" is "seq-mean-token-mean", "step_sum" is
    "seq-mean-token-sum"; kl "k3" is "low_var_kl". `dual_clip` works with every
    ratio; verl's "gspo" has none. Rows without response tokens do not count.
    `traj_id_B` is needed for ratio "trajectory" and aggregates "trajectory", "group"
    and "constant"; `group_id_B` for aggregate "group".

    Raises ValueError for an unknown name, a missing input or an unused constant.
    """
    numbers = {
        "clip_low": clip_low,
        "clip_high": clip_high,
        "dual_clip": dual_clip,
        "kl_coef": kl_coef,
    }
    ObjectiveSettings(ratio, kl=kl, **numbers)  # refuses before anything is compiled
    check_aggregate(aggregate, constant)
    _check_ids(ratio, aggregate, traj_id_B, group_id_B)
    tables = {
        "log_prob_BL": log_prob_BL,
        "old_log_prob_BL": old_log_prob_BL,
        "advantage_BL": advantage_BL,
        "ref_log_prob_BL": ref_log_prob_BL,
    }
    tables = {k: jnp.asarray(x, float) for k, x in tables.items() if x is not None}
    mask_BL = jnp.asarray(response_mask_BL) != 0
    for name, x in tables.items():
        if x.shape != mask_BL.shape:
            raise ValueError(
                f"{name} has shape {x.shape}, response_mask_BL {mask_BL.shape}"
            )
    ids = [_numbered(x, len(mask_BL)) for x in (traj_id_B, group_id_B)]
    names = (ratio, kl, aggregate)
    return _run(mask_BL, *ids, numbers, constant, names=names, **tables)


@functools.partial(jax.jit, static_argnames="names")
def _run(
    mask_BL,
    traj_id_B,
    group_id_B,
    numbers,
    constant,
    *,
    names,
    log_prob_BL,
    old_log_prob_BL,
    advantage_BL,
    ref_log_prob_BL=None,
):
    ratio, kl, aggregate = names
    num_rows = len(mask_BL)
    step_id = jnp.where(mask_BL, jnp.arange(num_rows)[:, None], NO_STEP)
    steps = _steps(traj_id_B, group_id_B)
    weight, count = loss_weights(steps, step_id, ONE, aggregate, constant)
    sums = None
    if ratio in COUPLED:
        sums = ratio_sums(log_prob_BL, old_log_prob_BL, step_id, num_rows)

    def loss_sum(log_prob):
        part = policy_loss(
            log_prob,
            old_log_prob_BL,
            advantage_BL,
            step_id,
            weight,
            count,
            ObjectiveSettings(ratio, kl=kl, **numbers),
            num_rows,
            ref_log_prob_SL=ref_log_prob_BL,
            ratio_sums=sums,
            traj_id_B=traj_id_B if ratio == "trajectory" else None,
        )
        return part.loss, part.count

    (loss, total), grad = jax.value_and_grad(loss_sum, has_aux=True)(log_prob_BL)
    return masked.divide(loss, total), masked.divide(grad, total)


def _steps(traj_id_B: jax.Array, group_id_B: jax.Array) -> Steps:
    """A table of which only the ids are read."""
    num_rows = len(traj_id_B)
    true = jnp.ones((num_rows,), bool)
    return Steps(
        reward=jnp.zeros((num_rows,)),
        traj_id=traj_id_B,
        step_index=jnp.arange(num_rows),
        group_id=group_id_B,
        terminated=true,
        truncated=~true,
        state_key=jnp.zeros((num_rows,), jnp.uint32),
        branch_advantage=empty_branch_advantage(num_rows),
        valid=true,
    )


def _check_ids(ratio, aggregate, traj_id_B, group_id_B):
    by_trajectory = ratio == "trajectory" or aggregate in (
        "trajectory",
        "group",
        "constant",
    )
    if by_trajectory and traj_id_B is None:
        raise ValueError(f"ratio={ratio!r}, aggregate={aggregate!r} need traj_id_B")
    if aggregate == "group" and group_id_B is None:
        raise ValueError("aggregate='group' needs group_id_B")


def _numbered(ids: Array | None, num_rows: int) -> jax.Array:
    """int32 numbers for ids of any kind. Inside jit the ids must be integers."""
    if ids is None:
        return jnp.zeros((num_rows,), jnp.int32)
    if isinstance(ids, jax.core.Tracer):
        return ids
    return jnp.asarray(np.unique(np.asarray(ids), return_inverse=True)[1], jnp.int32)
