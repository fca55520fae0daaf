"""The numbers of an update that are arguments of its program, not constants in it.

Runs that differ in nothing else share one compiled program, and several of them can
be its lanes (`ablation.lanes`). All else in `UpdateSettings` decides what is compiled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from steppo_jax.learner.settings import UpdateSettings

# Dotted field of the configuration → where `UpdateSettings` has it.
PATHS: dict[str, tuple[str, ...]] = {
    "credit.gamma": ("credit", "gamma"),
    "credit.lam": ("credit", "lam"),
    "credit.lam_alpha": ("credit", "lam_alpha"),
    "credit.token_gamma": ("credit", "token_gamma"),
    "credit.step_weight": ("credit", "step_weight"),
    "objective.clip_low": ("objective", "clip_low"),
    "objective.clip_high": ("objective", "clip_high"),
    "objective.dual_clip": ("objective", "dual_clip"),
    "kl.coef": ("kl", "coef"),
    "policy.learning_rate": ("policy", "learning_rate"),
    "critic.learning_rate": ("critic", "learning_rate"),
    "critic.coef": ("critic_coef",),
    "critic.value_clip": ("value_clip",),
}

Numbers = dict[str, Any]  # dotted field → [] float32, or traced


def take(settings: UpdateSettings) -> Numbers:
    """The numbers that the settings have; None, where a term is off, stays static."""
    found = {name: _get(settings, path) for name, path in PATHS.items()}
    return {name: np.float32(x) for name, x in found.items() if x is not None}


def put(settings: UpdateSettings, numbers: Mapping[str, Any]) -> UpdateSettings:
    """The settings with these numbers, which may be traced."""
    for name, value in numbers.items():
        settings = _set(settings, PATHS[name], value)
    return settings


def _get(node: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        node = None if node is None else getattr(node, name)
    return node


def _set(node: Any, path: tuple[str, ...], value: Any) -> Any:
    name, *rest = path
    new = _set(getattr(node, name), tuple(rest), value) if rest else value
    return dataclasses.replace(node, **{name: new})
