"""Episodes that are played outside, by programs that call the gateway.

There is nothing to reset or step here: what a task is, what is observed and what is
paid, the programs know (docs/gateway.md). A panel has no task, so nothing is evaluated
in the run; a harness can measure by calls outside of trajectories.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, NoReturn

from steppo_jax.errors import Refused


class PlayedOutside(Refused):
    """Something that only the programs outside could do."""


@dataclasses.dataclass(frozen=True)
class Harness:
    name: ClassVar[str] = "harness"
    panels: ClassVar[tuple[str, ...]] = ("train", "none")
    has_expert: ClassVar[bool] = False
    version: ClassVar[str] = "1"
    instructions: ClassVar[str] = ""

    max_steps: int = 20
    on_time_limit: str = "terminal"
    think_tokens: int = 0

    def __post_init__(self):
        if self.on_time_limit not in ("terminal", "bootstrap"):
            raise ValueError(
                f"on_time_limit={self.on_time_limit!r} is not terminal or bootstrap"
            )

    def check(self) -> None:
        """Needs nothing."""

    def size(self, panel: str) -> int:
        """No task of panel "none", which is there to be named in eval.panels."""
        if panel == "none":
            return 0
        raise _outside()

    def golden_steps(self, panel: str, task: int) -> int | None:
        return None

    def make(self) -> NoReturn:
        raise _outside()


def _outside() -> PlayedOutside:
    return PlayedOutside(
        "env.name=harness: its episodes are played by programs outside; start the run "
        "with experiments.gateway and let them call it (docs/gateway.md)"
    )
