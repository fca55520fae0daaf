"""What of a run's settings the pool goes by."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Terms:
    groups: int  # released together
    group_size: int
    max_steps: int  # of a trajectory
    staleness: int  # iterations
    idle_seconds: float
    bootstrap: bool  # a truncated trajectory needs the state beyond
