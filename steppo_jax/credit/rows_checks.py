"""What `credit.from_rows` refuses, in words that name the argument."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from steppo_jax.credit import registry
from steppo_jax.credit.base import CreditSettings, Estimator

Array = Any  # NumPy or JAX


def settings_of(entry: Estimator, gamma, lam, official, options) -> dict[str, Any]:
    """The CreditSettings fields that are set, checked against the estimator.

    γ = 1 and λ = 1 change nothing, so an estimator that does not use them takes
    these two defaults of `from_rows` and refuses any other number.
    """
    known = {f.name for f in dataclasses.fields(CreditSettings)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(
            f"unknown options {unknown}; credit={entry.name!r} takes normalise"
            + "".join(f", {name}" for name in entry.options)
        )
    settings = {**options, "official": official}
    for name, number in (("gamma", gamma), ("lam", lam)):
        default = isinstance(number, (int, float)) and number == 1
        replaced = name == "lam" and "lam_alpha" in options
        if not default or (name in entry.options and not replaced):
            settings[name] = number
    registry.check(entry.name, CreditSettings(**settings))
    return settings


def check_inputs(
    entry, official, *, group_id, state_key, value, truncated, next_value, branch
):
    """Refuses a missing input, and limits where nothing can bootstrap."""

    def need(what, why):
        raise ValueError(f"credit={entry.name!r} needs {what}: {why}")

    if entry.critic != "none" and value is None:
        need("value_BL", f"it reads a {entry.critic} critic")
    if entry.needs_groups and group_id is None:
        need("group_id_B", "it compares the trajectories of one task")
    if entry.needs_state_keys and state_key is None:
        need("state_key_B", "it compares steps that start from one state")
    if entry.needs_branching and branch is None:
        need("branch_advantage_B", "it reads measured advantages")
    if (truncated is None) != (next_value is None):
        raise ValueError("truncated_B and next_value_B go together: give both or none")
    if truncated is not None and (official or entry.critic == "none"):
        why = (
            "official=True" if official else f"credit={entry.name!r} has no critic and"
        )
        raise ValueError(f"{why} never bootstraps: leave out truncated_B, next_value_B")


def check_shapes(shape, tables: dict, columns: dict):
    """Every table is [B, L] and every column [B]."""
    for expected, arrays in ((shape, tables), (shape[:1], columns)):
        for name, x in arrays.items():
            if x.shape != expected:
                raise ValueError(
                    f"{name} has shape {x.shape}; token_reward_BL with shape "
                    f"{shape} asks for {expected}"
                )


def numbered(ids: Array | None) -> Array | None:
    """int32 numbers for ids of any kind. Inside jit the ids must be integers."""
    if ids is None or isinstance(ids, jax.core.Tracer):
        return ids
    ids = np.asarray(ids)
    if ids.dtype.kind in "OUS":  # to sort a thousand strings takes longer than GAE
        seen: dict[Any, int] = {}
        each = (seen.setdefault(x, len(seen)) for x in ids.tolist())
        return np.fromiter(each, np.int32, len(ids))
    return np.unique(ids, return_inverse=True)[1].astype(np.int32)


def check_steps(traj_id: Array, number: Array, step_index: Array):
    """Steps of a trajectory follow one another without repeats or gaps.

    `number` are the trajectories `numbered`. Not checked inside jit, where the ids
    have no values.
    """
    if isinstance(traj_id, jax.core.Tracer) or isinstance(step_index, jax.core.Tracer):
        return
    step_index = np.asarray(step_index)
    order = np.lexsort((step_index, number))
    traj, step = number[order], step_index[order]
    wrong = (traj[1:] == traj[:-1]) & (step[1:] != step[:-1] + 1)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ValueError(
            f"trajectory {np.asarray(traj_id)[order[k]]!r}: step_index_B {step[k]} is "
            f"followed by {step[k + 1]}; the steps of a trajectory count up by one"
        )
