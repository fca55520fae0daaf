"""JSON and safetensors files, and what is said when one cannot be read."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError, safe_open

from steppo_jax.models.families import ModelError


def open_tensors(path: pathlib.Path):
    """An open safetensors file; tensors are read one by one. Raises ModelError."""
    try:
        return safe_open(path, framework="numpy")
    except FileNotFoundError:
        raise ModelError(
            f"{path} does not exist; give a folder with its json file and "
            f"{path.name} beside it, or an index of several files"
        ) from None
    except (SafetensorError, OSError, UnicodeError) as error:
        raise ModelError(f"{path} is no safetensors file: {error}") from None


def read_json(path: pathlib.Path, wanted: str) -> dict[str, Any]:
    """A JSON object. Raises ModelError; `wanted` is what to give, where none is."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{path} does not exist; give {wanted}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object; restore the file")
    return value


def write_json(path: pathlib.Path, value: Mapping[str, Any]) -> None:
    """Keys in order, so that the same object gives the same bytes."""
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8")
