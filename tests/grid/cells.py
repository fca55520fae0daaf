"""The grid as axes, what stands against a cell, and a cell as a configuration."""

from __future__ import annotations

import itertools
from typing import Any

import ml_collections

from configs import household
from steppo_jax import credit, objective, programs, settings
from steppo_jax.learner.update import Learner
from steppo_jax.models.heads import Critic, ValueHead
from steppo_jax.settings.checks import CREDIT_OPTIONS
from steppo_jax.settings.ranges import KL_PLACES, TIME_LIMITS, TRUNKS
from tests import toy

# Branching needs an actor that branches; its cells have tests of their own.
ESTIMATORS = tuple(n for n in credit.names() if not credit.get(n).needs_branching)
# Axes that constrain one another, and those that go with everything.
BOUND: dict[str, tuple] = {
    "credit.estimator": ESTIMATORS,
    "lambda": (None, "lam", "lam_alpha"),
    "credit.divide_by_std": (None, True, False),
    "credit.official": (False, True),
    "critic.trunk": (None, *TRUNKS),
    "critic.value_clip": (None, 0.5),
    "env.on_time_limit": TIME_LIMITS,
}
FREE: dict[str, tuple] = {
    "credit.normalise": credit.KINDS,
    "objective.ratio": objective.RATIOS,
    "objective.aggregate": objective.AGGREGATES,
    "objective.dual_clip": (None, 3.0),
    "objective.entropy_coef": (0.0, 0.01),
    "objective.behaviour_cap": (None, 2.0),
    "kl": (None, *itertools.product(objective.KL_KINDS, KL_PLACES)),
}
SMALL = {
    "rollout.groups": 2,
    "rollout.group_size": 4,
    "learner.minibatches": 2,
    "learner.microbatch": 4,
    "devices": 1,
}


def bound_cells() -> list[dict[str, Any]]:
    return [dict(zip(BOUND, values)) for values in itertools.product(*BOUND.values())]


def against(cell: dict[str, Any]) -> set[str]:
    """Fields that a refusal of the cell may name; empty for a cell that runs."""
    entry = credit.get(cell["credit.estimator"])
    has, found = entry.critic != "none", set()
    official, limit = cell["credit.official"], cell["env.on_time_limit"]
    if (cell["critic.trunk"] is not None) != has:
        found |= {"critic.trunk", "critic.coef"}
    if cell["critic.value_clip"] is not None and not has:
        found.add("critic.value_clip")
    if limit == "bootstrap" and (official or not has):
        found.add("env.on_time_limit")
    if official and not entry.has_official:
        found.add("credit.official")
    if (cell["credit.divide_by_std"] is not None) != ("divide_by_std" in entry.options):
        found.add("credit.divide_by_std")
    if (cell["lambda"] is not None) != ("lam" in entry.options):
        found |= {"credit.lam", "credit.lam_alpha"}
    return found


def fields(cell: dict[str, Any]) -> dict[str, Any]:
    """Every field of the grid for a cell, others as the estimator asks for."""
    entry, trunk = credit.get(cell["credit.estimator"]), cell["critic.trunk"]
    out = {name: value for name, value in cell.items() if "." in name}
    for name in ("gamma", "token_gamma", "step_weight"):
        used = name in entry.options
        out[f"credit.{name}"] = CREDIT_OPTIONS[name] if used else None
    for name in ("lam", "lam_alpha"):
        chosen = cell["lambda"] == name
        out[f"credit.{name}"] = CREDIT_OPTIONS[name] if chosen else None
    kind, place = cell["kl"] or (None, None)
    return out | {
        "kl.kind": kind,
        "kl.coef": None if kind is None else 0.1,
        "kl.place": place,
        "objective.constant": 32.0
        if out["objective.aggregate"] == "constant"
        else None,
        "critic.kind": entry.critic,
        "critic.learning_rate": 2e-3 if trunk == "own" else None,
        "critic.coef": 0.5 if trunk == "shared" else None,
        "critic.warmup_iterations": None if trunk is None else 0,
        "critic.scale": None if trunk is None else 1.0,
    }


def config_of(cell: dict[str, Any]) -> ml_collections.ConfigDict:
    """A configuration of the cell as its flags make it; not yet checked."""
    config = household.get_config("steppo")
    for name, value in (fields(cell) | SMALL).items():
        settings.update(config, name, str(value))
    return config


def learner_of(config: ml_collections.ConfigDict) -> Learner:
    """The learner of a configuration, with the toy's networks."""
    critics = {None: None, "own": Critic(toy.DECODER), "shared": ValueHead()}
    critic = critics[config.critic.trunk]
    return Learner(toy.POLICY, critic, programs.update_settings(config))
