"""What a configuration says that the defaults do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steppo_jax.settings import FIELDS


def from_defaults(values: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(field, default, value) of every field that differs, in the order of the tree.

    A default that a preset must choose is None.
    """
    found = []
    for name, field in FIELDS.items():
        value = values[name]
        value = tuple(value) if isinstance(value, list) else value
        if value != field.default:
            found.append((name, field.default, value))
    return found
