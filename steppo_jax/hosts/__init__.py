"""Real text environments, which run on the host in worker processes, by name.

A family's module is imported when it is asked for, and its packages only when it is
checked or made: what is not installed costs nothing until somebody wants it.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from steppo_jax.hosts.base import HostFamily

# Name → module:class. A new family is one file and one line here.
_REGISTRY: dict[str, str] = {
    "alfworld": "steppo_jax.hosts.alfworld.family:Alfworld",
    "harness": "steppo_jax.hosts.harness:Harness",
    "hotpotqa": "steppo_jax.hosts.hotpotqa:HotpotQA",
    "paper_search_real": "steppo_jax.hosts.paper_search_real:PaperSearchReal",
    "scienceworld": "steppo_jax.hosts.scienceworld:ScienceWorld",
    "textworld_express": "steppo_jax.hosts.textworld_express:TextWorldExpress",
    "webshop": "steppo_jax.hosts.webshop:WebShop",
}


def names() -> tuple[str, ...]:
    """Names of all families."""
    return tuple(sorted(_REGISTRY))


def place(name: str) -> str:
    """module:class of a family. ValueError for an unknown name."""
    if name not in _REGISTRY:
        raise ValueError(f"environment: {name!r} is not one of {', '.join(names())}")
    return _REGISTRY[name]


def load(where: str) -> type:
    """The class that stands at module:class."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def make(name: str, **settings: Any) -> HostFamily:
    """The family called `name` with the given settings; needs none of its packages.

    Settings that are None are left at the family's own default. ValueError for an
    unknown name or setting (the known ones are listed), or a value it cannot take.
    """
    found = load(place(name))
    known = [field.name for field in dataclasses.fields(found)]
    given = {key: value for key, value in settings.items() if value is not None}
    for setting in given:
        if setting not in known:
            raise ValueError(
                f"{name}: {setting!r} is not one of its settings: {', '.join(known)}"
            )
    return found(**given)
