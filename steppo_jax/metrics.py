"""The numbers of a run: metrics.jsonl (exact), TensorBoard events, a console line.

Names are "group/name". What depends on the clock stands under `time/`, and nothing
else does: a resumed run repeats every other field bit for bit.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from steppo_jax import records
from steppo_jax.events import Events
from steppo_jax.progress import Bar
from steppo_jax.records import Records

FILE, EVENTS = "metrics.jsonl", "tensorboard"
# Names that the console line and the report look for.
SUCCESS, RETURN, STEPS = "train/success", "train/return", "train/steps"
TOKENS = "train/tokens_per_response"
ENTROPY, KL, CLIP = "policy/entropy", "policy/kl", "policy/clip_fraction"
EXPLAINED_VARIANCE = "critic/explained_variance"

NAME = re.compile(r"[a-z][a-z0-9_]*(/[a-z0-9_]+)+")
CLOCK = re.compile(r"second")


def check_name(name: str) -> None:
    """Raises ValueError for a name outside the scheme of this file."""
    if not NAME.fullmatch(name):
        raise ValueError(f"metric {name!r}: names look like group/name, lower case")
    if CLOCK.search(name) and not name.startswith("time/"):
        raise ValueError(f"metric {name!r} depends on the clock; put it under time/")


def read(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl. Raises BrokenRecords for what no run writes."""
    found = records.numbered(workdir / FILE)
    for line in found:
        for name, value in line.items():
            if value is not None and not records.number(value):
                raise records.BrokenRecords(
                    f"{workdir / FILE}: iteration {line['iteration']} has {name}="
                    f"{repr(value)[:40]}, not a number; repair or delete the line"
                )
    return found


class Metrics:
    """Writes one object per iteration; opening it again resumes exactly."""

    def __init__(self, workdir: pathlib.Path, progress: Bar, start: int = 0):
        """Drops what was written of iterations from `start` on, then appends."""
        self._progress = progress
        self._records = Records(workdir / FILE)
        kept = self._records.truncate(start)
        if kept != start:  # a machine that lost power, or a file that was edited
            logging.warning("%s has %d of %d iterations", FILE, kept, start)
        self._events = Events(workdir / EVENTS, start)

    def write(self, iteration: int, values: Mapping[str, Any]) -> None:
        """The metrics of `iteration` (from 0): scalars, or None where there is none."""
        for name in values:
            check_name(name)
        self._records.append({"iteration": iteration, **values})
        finite = {k: float(v) for k, v in values.items() if v is not None}
        finite = {k: v for k, v in finite.items() if np.isfinite(v)}
        self._events.write(iteration, finite)
        self._progress.line(iteration + 1, values)

    def close(self) -> None:
        """Flushes everything; the progress stays the caller's."""
        self._records.close()
        self._events.close()
