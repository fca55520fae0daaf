"""Estimators by name. A new one is a file with an `ESTIMATOR` and a line here."""

from __future__ import annotations

import dataclasses

from steppo_jax.credit import (
    bi_level_gae,
    gigpo,
    grpo,
    monte_carlo,
    reinforce_pp,
    reinforce_pp_baseline,
    rloo,
    step_gae,
    token_gae,
    trajectory_return,
)
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator

_ESTIMATORS: dict[str, Estimator] = {}
_SETTINGS = {f.name: f.default for f in dataclasses.fields(CreditSettings)}


def register(estimator: Estimator) -> Estimator:
    """Adds an estimator. A name that is taken and an unknown option are refused."""
    if estimator.name in _ESTIMATORS:
        raise ValueError(f"credit {estimator.name!r} is registered already")
    unknown = [name for name in estimator.options if name not in _SETTINGS]
    if unknown:
        raise ValueError(
            f"credit {estimator.name!r}: options {unknown} are not fields of "
            f"CreditSettings, which has {sorted(_SETTINGS)}"
        )
    _ESTIMATORS[estimator.name] = estimator
    return estimator


def names() -> tuple[str, ...]:
    """Names of all registered estimators, in the order of registration."""
    return tuple(_ESTIMATORS)


def get(name: str) -> Estimator:
    """The registry entry; an unknown name raises ValueError listing the known."""
    if name not in _ESTIMATORS:
        raise ValueError(f"credit={name!r} is unknown; known: {', '.join(names())}")
    return _ESTIMATORS[name]


def check(name: str, settings: CreditSettings) -> Estimator:
    """The entry, if it can run with `settings`; else ValueError naming the field.

    A setting the estimator does not use must be left at its default: no option
    is silently ignored.
    """
    estimator = get(name)
    given = [
        name
        for name, default in _SETTINGS.items()
        if name != "official" and getattr(settings, name) is not default
    ]
    unused = [f for f in given if f not in estimator.options]
    if unused:
        raise ValueError(
            f"credit={name!r} does not use {', '.join(unused)}; leave it unset "
            f"(it uses: {', '.join(estimator.options) or 'no options'})"
        )
    for need in estimator.required:
        choice = (need,) if isinstance(need, str) else need
        if sum(f in given for f in choice) != 1:
            raise ValueError(f"credit={name!r} needs {_exactly_one(choice)}")
    if settings.official and not estimator.has_official:
        raise ValueError(
            f"credit={name!r} is not in the official code: use official=False"
        )
    return estimator


def _exactly_one(choice: tuple[str, ...]) -> str:
    return choice[0] if len(choice) == 1 else f"exactly one of {', '.join(choice)}"


def estimate(name: str, batch: CreditBatch, settings: CreditSettings) -> Credit:
    """Advantage and value target of `batch` by the estimator `name`, not normalised.

    Raises ValueError for an unknown name, a missing setting, or one that the
    estimator would ignore.
    """
    return check(name, settings).estimate(batch, settings)


for _module in (
    step_gae,
    token_gae,
    bi_level_gae,
    grpo,
    rloo,
    reinforce_pp,
    reinforce_pp_baseline,
    gigpo,
    trajectory_return,
    monte_carlo,
):
    register(_module.ESTIMATOR)
