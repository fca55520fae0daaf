"""The one error of everything a person can get wrong before a run starts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from steppo_jax.errors import Refused


class ConfigError(Refused):
    """A setting that cannot be used. One line: the value, the rule, the remedy."""


def refuse(field: str, value: Any, rule: str, remedy: str) -> ConfigError:
    """The error for a value that breaks a rule; the caller raises it."""
    return ConfigError(f"config.{field}={value!r}: {rule}; {remedy}")


def unknown_field(name: str, fields: Iterable[str]) -> ConfigError:
    """`unknown` for a dotted field: lists the fields of its group, or the groups."""
    near = difflib.get_close_matches(name, list(fields), n=1)
    group, dot, _ = name.rpartition(".")
    here = [field for field in fields if dot and field.startswith(f"{group}.")]
    known = here or dict.fromkeys(field.split(".")[0] for field in fields)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(f"config.{name} does not exist; {hint}known: {', '.join(known)}")


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that does not exist, with the nearest and all known ones."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(f"{what} {name!r} is unknown; {hint}known: {', '.join(known)}")
