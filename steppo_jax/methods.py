"""Presets: methods as named points of the grid credit × ratio × normalise × aggregate
× critic.

A method lists what it uses. Every other field of the grid is None ("not used"),
and giving such a field a value is refused by `settings.check`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections

from steppo_jax.settings.errors import unknown
from steppo_jax.settings.fields import FIELDS


@dataclasses.dataclass(frozen=True)
class Method:
    """One point of the grid: dotted field → value, and a line for the docs."""

    summary: str
    fields: Mapping[str, Any]


def _grid(critic: str, **fields: Any) -> dict[str, Any]:
    """Fields of the grid; `a__b` is the dotted name a.b."""
    grid = {name.replace("__", "."): value for name, value in fields.items()}
    return {**grid, "critic.kind": critic}


# A critic needs no group to compare with, so each episode is another task, as in
# the paper (method.md §2.4); group methods meet a group_size-th as many tasks.
ONE_EACH = {"rollout__groups": 64, "rollout__group_size": 1}

METHODS: dict[str, Method] = {
    "steppo": Method(
        "step GAE, geometric-mean ratio per step, critic at the last prompt token",
        _grid(
            critic="step",
            **ONE_EACH,
            credit__estimator="step_gae",
            credit__gamma=0.99,  # per interaction step
            credit__lam=0.95,
            credit__normalise="batch",  # one count per step
            objective__ratio="step",
            objective__clip_low=0.03,  # .2 never binds on a geometric mean
            objective__clip_high=0.03,
            objective__aggregate="step",
        ),
    ),
    "ppo": Method(
        "token GAE across the whole trajectory, token ratio, critic at every token",
        _grid(
            critic="token",
            **ONE_EACH,
            credit__estimator="token_gae",
            credit__gamma=0.99,  # per token
            credit__lam=0.95,
            credit__normalise="token_batch",
            objective__ratio="token",
            objective__clip_low=0.2,
            objective__clip_high=0.2,
            objective__aggregate="step",
        ),
    ),
    "grpo": Method(
        "return of the trajectory against its group, token ratio, no critic",
        _grid(
            critic="none",
            credit__estimator="grpo",
            credit__normalise="none",  # the group already is
            credit__divide_by_std=True,
            objective__ratio="token",
            objective__clip_low=0.2,
            objective__clip_high=0.2,
            objective__aggregate="step",
        ),
    ),
}


def apply(config: ml_collections.ConfigDict, name: str) -> None:
    """Moves `config` to the method's point of the grid; ConfigError if unknown."""
    if name not in METHODS:
        raise unknown("preset", name, METHODS)
    fields = METHODS[name].fields
    critic_free = fields["critic.kind"] == "none"
    for field, spec in FIELDS.items():
        in_grid = field.startswith(("credit.", "objective."))
        unused = in_grid or (critic_free and field.startswith("critic."))
        if field in fields:
            config.update_from_flattened_dict({field: fields[field]})
        elif unused and spec.optional:
            config.update_from_flattened_dict({field: None})
