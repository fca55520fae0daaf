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

from steppo_jax.official_points import POINTS
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


def _critic_free(estimator: str, normalise: str, **fields: Any) -> dict[str, Any]:
    """A method without critic, token ratio, every step of the same weight."""
    return _grid(
        critic="none",
        credit__estimator=estimator,
        credit__normalise=normalise,
        objective__ratio="token",
        objective__clip_low=0.2,
        objective__clip_high=0.2,
        objective__aggregate="step",
        **fields,
    )


# A critic needs no group to compare with, so each episode is another task, as in
# the paper (docs/official.md §4); group methods meet a group_size-th as many tasks.
ONE_EACH = {"rollout__groups": 64, "rollout__group_size": 1}

STEPPO = _grid(
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
)

GRPO = _critic_free("grpo", "none", credit__divide_by_std=True)

METHODS: dict[str, Method] = {
    "steppo": Method(
        "step GAE, one geometric-mean ratio per step, critic at the last prompt token",
        STEPPO,
    ),
    "capo": Method(
        "step GAE with a ratio calibrated by the square root of the length (CAPO)",
        STEPPO
        | _grid(
            critic="step",
            objective__ratio="step_calibrated",
            objective__clip_low=0.08,  # about √7 times the step ratio's
            objective__clip_high=0.08,
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
        GRPO,
    ),
    "dr_grpo": Method(
        "GRPO without division by std; token sums over a constant (arXiv 2503.20783)",
        GRPO
        | _grid(
            critic="none",
            credit__divide_by_std=False,
            objective__aggregate="constant",
            objective__constant=100.0,  # tokens of a typical episode
        ),
    ),
    "gspo": Method(
        "GRPO's credit with one ratio per step (arXiv 2507.18071 on step rows)",
        GRPO
        | _grid(
            critic="none",
            objective__ratio="step",
            objective__clip_low=0.03,
            objective__clip_high=0.03,
        ),
    ),
    "rloo": Method(
        "return against the mean of the others in the group (arXiv 2402.14740)",
        _critic_free("rloo", "none"),
    ),
    "reinforce_pp": Method(
        "discounted return across the episode, whitened over tokens (arXiv 2501.03262)",
        _critic_free("reinforce_pp", "token_batch", credit__gamma=0.99, **ONE_EACH),
    ),
    "reinforce_pp_baseline": Method(
        "return against the group mean, whitened over tokens (arXiv 2501.03262)",
        _critic_free("reinforce_pp_baseline", "token_batch"),
    ),
    "gigpo": Method(
        "GRPO plus groups of steps from the same observation (arXiv 2505.10978)",
        _critic_free(
            "gigpo",
            "none",
            credit__gamma=0.95,  # per step
            credit__divide_by_std=True,
            credit__step_weight=1.0,
        ),
    ),
    "lightning_rl": Method(
        "return of the trajectory, normalised over the task's steps (arXiv 2508.03680)",
        _critic_free("trajectory_return", "none", credit__divide_by_std=True),
    ),
    "monte_carlo": Method(
        "advantage of each step measured by playing on from its state: slow, no bias",
        _critic_free("monte_carlo", "batch", **ONE_EACH)
        | _grid(
            critic="none",
            branching__branches=8,
            branching__gamma=0.99,  # per step
            objective__ratio="step",
            objective__clip_low=0.03,
            objective__clip_high=0.03,
        ),
    ),
    "bi_level": Method(
        "GAE over steps, then over the tokens inside each (arXiv 2510.16907)",
        _grid(
            critic="token",
            **ONE_EACH,
            credit__estimator="bi_level_gae",
            credit__gamma=0.99,  # per step
            credit__token_gamma=1.0,
            credit__lam=0.95,
            credit__normalise="token_batch",
            objective__ratio="token",
            objective__clip_low=0.2,
            objective__clip_high=0.2,
            objective__aggregate="step",
        ),
    ),
}

OFFICIAL = "official_"
METHODS |= {
    f"{OFFICIAL}{name}": Method(f"{name} as the official code has it", fields)
    for name, fields in POINTS.items()
}

HEAD = ("preset", "credit", "normalise", "ratio", "aggregate", "critic", "KL", "")


def table() -> str:
    """The presets as a Markdown table, for the docs: one row each."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for name, method in METHODS.items():
        of = method.fields
        names = ("credit.estimator", "credit.normalise", "objective.ratio")
        point = [of[field] for field in (*names, "objective.aggregate", "critic.kind")]
        kl = f"`{of['kl.kind']}` in the {of['kl.place']}" if "kl.kind" in of else ""
        cells = (f"`{x}`" for x in (name, *point))
        lines.append((*cells, kl, method.summary))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def apply(config: ml_collections.ConfigDict, name: str) -> None:
    """Moves `config` to the method's point of the grid; ConfigError if unknown."""
    if name not in METHODS:
        raise unknown("preset", name, METHODS)
    fields = METHODS[name].fields
    critic_free = fields["critic.kind"] == "none"
    for field, spec in FIELDS.items():
        in_grid = field.startswith(("credit.", "branching.", "objective."))
        unused = in_grid or (critic_free and field.startswith("critic."))
        if field in fields:
            config.update_from_flattened_dict({field: fields[field]})
        elif unused and spec.optional:
            config.update_from_flattened_dict({field: None})
