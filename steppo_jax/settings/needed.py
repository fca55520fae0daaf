"""Fields that something uses or does not: given without a user they are refused."""

from __future__ import annotations

from typing import Any

from steppo_jax.settings.errors import refuse

Values = dict[str, Any]  # dotted name → value


def needs(values: Values, name: str, used: bool, user: str, example: Any) -> None:
    """An optional field must be given where it is used and None where it is not."""
    value = values[name]
    preset = "" if name.startswith("model.") else " (a preset sets all of its fields)"
    if used and value is None:
        remedy = f"set --config.{name}={example!r} or so{preset}"
        raise refuse(name, None, f"{user} needs it", remedy)
    if not used and value is not None:
        remedy = f"set --config.{name}=None{preset}"
        raise refuse(name, value, f"{user} does not use it", remedy)


def of_group(values: Values, prefix: str) -> Values:
    """The fields of one group, without its name."""
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
