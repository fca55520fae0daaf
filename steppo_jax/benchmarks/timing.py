"""Repeated timings of calls that may run on a device."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of each repeat; CPU seconds are of the whole process, all threads."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median of the wall time."""
        return float(np.median(self.wall))

    @property
    def cpu_seconds(self) -> float:
        return float(np.median(self.cpu))

    @property
    def spread(self) -> float:
        """Distance between the quartiles of the wall time."""
        low, high = np.percentile(self.wall, (25, 75))
        return float(high - low)


def alternate(
    calls: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, Timing]:
    """Times each call `repeats` times, in turns: load on the machine meets them all.

    In each turn a call is made twice and the second one counts: what the others' turns
    took from it (caches, memory that went back to the machine) is not its own cost.
    The first turn counts nothing, so compiling does not. Results are waited for.
    """
    for call in calls.values():
        jax.block_until_ready(call())
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            jax.block_until_ready(call())
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(call())
            now = time.perf_counter() - wall, time.process_time() - cpu
            found[name].append(now)
    return {name: Timing(*map(tuple, zip(*took))) for name, took in found.items()}
