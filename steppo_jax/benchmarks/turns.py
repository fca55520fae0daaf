"""Calls of ours and jobs of peers' processes, timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steppo_jax.benchmarks.timing import Timing, alternate


def in_turns(
    calls: Mapping[str, Callable[[], Any]],
    asks: Mapping[str, Callable[[], dict[str, float]]],
    repeats: int,
) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Timings of ours by call, and of the peers' by job.

    Args:
      asks: by job, has a peer do it once: its own seconds ("wall", "cpu").
    """
    theirs: dict[str, list[dict[str, float]]] = {job: [] for job in asks}

    def asked(job: str) -> Callable[[], None]:
        return lambda: theirs[job].append(asks[job]())

    took = alternate({**calls, **{f"peer {job}": asked(job) for job in asks}}, repeats)
    return took, {
        job: Timing(*(tuple(x[unit] for x in each[2::2]) for unit in ("wall", "cpu")))
        for job, each in theirs.items()  # the second call of each turn, as of ours
    }
