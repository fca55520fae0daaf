"""On-device environments by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from steppo_jax.envs.base import PANELS, Environment, State, Task
from steppo_jax.envs.household import Household
from steppo_jax.envs.multihop_qa import MultihopQA
from steppo_jax.envs.paper_search import PaperSearch
from steppo_jax.envs.shop import Shop

__all__ = ["PANELS", "Environment", "State", "Task", "make", "names"]

_REGISTRY: dict[str, type] = {
    cls.name: cls for cls in (Household, MultihopQA, PaperSearch, Shop)
}


def names() -> tuple[str, ...]:
    """Names of all environments."""
    return tuple(sorted(_REGISTRY))


def make(name: str, **settings: Any) -> Environment:
    """The environment called `name` with the given settings.

    ValueError for an unknown name or setting (the known ones are listed) and for
    a value the environment cannot take.
    """
    if name not in _REGISTRY:
        raise ValueError(f"environment: {name!r} is not one of {', '.join(names())}")
    known = [field.name for field in dataclasses.fields(_REGISTRY[name])]
    for setting in settings:
        if setting not in known:
            raise ValueError(
                f"{name}: {setting!r} is not one of its settings: {', '.join(known)}"
            )
    return _REGISTRY[name](**settings)
