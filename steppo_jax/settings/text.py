"""Values from text: what stands after `=` on a command line, read by a field's type."""

from __future__ import annotations

from typing import Any

import ml_collections

from steppo_jax.settings.errors import refuse
from steppo_jax.settings.fields import WORDS, find

BOOLEANS = {"true": True, "false": False}


def parse(kind: type, text: str) -> Any:
    """`text` as a `kind`: None, true/false, a number, a string, or names joined by +.

    Raises ValueError with the rule where the text does not fit the type.
    """
    if text == "None" or (text == "none" and kind is not str):  # a name may be "none"
        return None
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise ValueError(f"needs {WORDS[kind]}")
        return BOOLEANS[text.lower()]
    if kind is tuple:
        return tuple(part.strip() for part in text.split("+"))
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"needs {WORDS[kind]}") from None


def update(config: ml_collections.ConfigDict, name: str, text: str) -> None:
    """Sets one field from text. Raises ConfigError for a wrong name or type."""
    field = find(name)
    try:
        value = parse(field.kind, text)
    except ValueError as error:
        raise refuse(name, text, str(error), "correct it") from None
    if value is None and not field.optional:
        raise refuse(name, None, f"needs {WORDS[field.kind]}", "give one")
    config.update_from_flattened_dict({name: value})
