"""What a compiled program says of itself, and what the process has held."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from typing import Any

import jax

COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def watched() -> Iterator[list[float]]:
    """A list that gets the seconds of every program compiled meanwhile."""
    seconds: list[float] = []

    def heard(event: str, duration: float, **_) -> None:
        if event == COMPILED:
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)


def describe(compiled: Any) -> dict[str, float | None]:
    """Flops, bytes moved and bytes of scratch memory of a compiled program, by XLA.

    XLA counts the body of a loop once, however often it runs. None where the
    platform does not say.
    """
    cost, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    if isinstance(cost, list):  # one per device
        cost = cost[0] if cost else {}
    return {
        "xla_flops": cost.get("flops"),
        "xla_bytes": cost.get("bytes accessed"),
        "scratch_bytes": getattr(memory, "temp_size_in_bytes", None),
    }


def peak_bytes() -> int:
    """Most memory so far: the device's where it counts, else the process's."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
