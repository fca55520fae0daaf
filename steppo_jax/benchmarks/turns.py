"""Calls of ours and jobs of a peer's process, timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from steppo_jax.benchmarks.peer import Peer
from steppo_jax.benchmarks.timing import Timing, alternate


def in_turns(
    calls: dict[str, Callable[[], Any]],
    peer: Peer | None,
    jobs: Iterable[str],
    repeats: int,
) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Timings of ours by call, and of the peer's by job; it is closed afterwards."""
    if peer is None:
        return alternate(calls, repeats), {}
    theirs: dict[str, list[dict[str, float]]] = {job: [] for job in jobs}

    def asked(job: str) -> Callable[[], None]:
        return lambda: theirs[job].append(peer.time(job))

    took = alternate(calls | {f"peer {job}": asked(job) for job in theirs}, repeats)
    peer.close()
    found = {
        job: Timing(*(tuple(x[unit] for x in each[2::2]) for unit in ("wall", "cpu")))
        for job, each in theirs.items()  # the second call of each turn, as of ours
    }
    return took, found
