"""What environments of host families share about their tasks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from steppo_jax.hosts.base import Info

T = TypeVar("T")


def of_options(options: Info | None, panels: Mapping[str, Sequence[T]]) -> T:
    """The task that `reset`'s options name. ValueError: a caller's mistake."""
    if options is None or not {"panel", "task"} <= options.keys():
        raise ValueError("reset needs options {'panel': NAME, 'task': INDEX}")
    panel, task = options["panel"], options["task"]
    if panel not in panels:
        raise ValueError(f"panel {panel!r} is not one of {', '.join(panels)}")
    if not 0 <= task < len(panels[panel]):
        raise ValueError(f"task {task} of {panel} is not in [0, {len(panels[panel])})")
    return panels[panel][task]


def state_key(*parts: object) -> int:
    """uint32 of what the situation is made of, its history left out."""
    return zlib.crc32(repr(parts).encode())


def shortened(text: str, most: int) -> str:
    """At most `most` characters of a text, with a mark where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"
