"""One bar for a whole ablation: iterations of all runs, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from steppo_jax.progress import Progress

EVERY = 15.0  # seconds between two lines
Tell = Callable[[str, str, Any], None]  # ("advance", run, values), ("say", run, text)


class Overall:
    """Counts what the runs report; a line now and then, not one per iteration."""

    def __init__(
        self,
        name: str,
        total: int,
        done: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total, self._done = total, done
        self._clock, self._last = clock, -EVERY
        self._progress = Progress(name, total, start=done, stream=stream, clock=clock)

    def advance(self, iterations: int, run: str, values: Mapping[str, Any]) -> None:
        """So many more iterations, of this run, which has reached `values`."""
        # What a resumed run repeats was counted before.
        self._done = min(self._done + iterations, self._total)
        now = self._clock()
        if now - self._last >= EVERY:
            self._last = now
            self._progress.line(self._done, values, run)

    def hear(self, kind: str, run: str, what: Any) -> None:
        """What a `Part` tells."""
        if kind == "advance":
            self.advance(1, run, what)
        else:
            self.say(f"{run}: {what}")

    def say(self, text: str) -> None:
        """A line of its own."""
        self._progress.say(text)

    def close(self) -> None:
        self._progress.close()


class Part:
    """A run's share of the bar, in place of a bar of its own."""

    def __init__(self, run: str, tell: Tell):
        self._run, self._tell = run, tell

    def line(self, done: int, values: Mapping[str, Any]) -> None:
        del done  # told one by one
        self._tell("advance", self._run, dict(values))

    def say(self, text: str) -> None:
        self._tell("say", self._run, text)

    def close(self) -> None:
        """The whole goes on."""
