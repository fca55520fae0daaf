"""What a person sees while a run goes on: one compact line per iteration, and a bar
only where the output is a terminal (batch logs get plain lines).
"""

from __future__ import annotations

import collections
import dataclasses
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

from rich import progress as bars
from rich.console import Console

# Label on the line, metric, format. Metrics that a method does not have are left out.
COLUMNS = (
    ("success", "train/success", ".3f"),
    ("steps", "train/steps", ".1f"),
    ("tokens", "train/tokens_per_response", ".1f"),
    ("entropy", "policy/entropy", ".2f"),
    ("ev", "critic/explained_variance", ".2f"),
)
RECENT = 20  # lines that the ETA is taken from


def clock_text(seconds: float) -> str:
    """h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def aloud(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


@dataclasses.dataclass(frozen=True)
class Watch:
    """Lines about a part that may take long: none below `first` seconds."""

    say: Callable[[str], None] = aloud
    first: float = 10.0
    every: float = 30.0  # seconds between two lines
    clock: Callable[[], float] = time.monotonic

    def over(self, total: int, what: str = "episodes") -> Callable[[int], None]:
        """To be told how many of `total` are done; says so, and the time left."""
        began, due = self.clock(), self.clock() + self.first

        def tell(done: int) -> None:
            nonlocal due
            now = self.clock()
            if now < due or done >= total:
                return
            due = now + self.every
            spent = now - began
            left = clock_text(spent * (total - done) / max(done, 1)) if done else "?"
            width = len(str(total))
            self.say(f"  {done:{width}}/{total} {what}  {clock_text(spent)}<{left}")

        return tell


PRINTED = Watch()


class Bar(Protocol):
    """Where a run's lines go."""

    def line(self, done: int, values: Mapping[str, Any]) -> Any:
        """Tells the metrics after `done` rounds."""

    def say(self, text: str) -> None:
        """Tells anything else."""

    def close(self) -> None:
        """Nothing more is coming."""


class Silent:
    """A bar that shows nothing: of a process that another one speaks for."""

    def line(self, done: int, values: Mapping[str, Any]) -> None:
        del done, values

    def say(self, text: str) -> None:
        del text

    def close(self) -> None:
        pass


class Progress:
    """Lines (and a bar) for `total` rounds, `start` of them done before."""

    def __init__(
        self,
        label: str,
        total: int,
        *,
        start: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._label, self._total, self._clock = label, total, clock
        self._begin = clock()
        self._recent = collections.deque([(self._begin, start)], maxlen=RECENT + 1)
        self._stream = stream or sys.stdout
        self._bar: bars.Progress | None = None
        if self._stream.isatty():
            self._bar = bars.Progress(
                bars.TextColumn("{task.description}"),
                bars.BarColumn(),
                bars.MofNCompleteColumn(),
                console=Console(file=self._stream),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(label, total=total, completed=start)

    def line(self, done: int, values: Mapping[str, Any], of: str = "") -> str:
        """Prints, and returns, the line after `done` of `total` rounds.

        `of` says what the values are of, where that is not all the rounds.
        """
        now = self._clock()
        self._recent.append((now, done))
        then, done_then = self._recent[0]
        pace = (now - then) / max(done - done_then, 1)
        width = len(str(self._total))
        cells = [f"{self._label} {done:{width}}/{self._total}"]
        cells += [of] if of else []
        for label, key, form in COLUMNS:
            if values.get(key) is not None:
                cells.append(f"{label} {float(values[key]):{form}}")
        elapsed = clock_text(now - self._begin)
        left = clock_text(pace * max(self._total - done, 0))
        text = " ".join([*cells, f"{elapsed}<{left}"])
        self.say(text)
        if self._bar:
            self._bar.update(self._task, completed=done)
        return text

    def say(self, text: str) -> None:
        """Prints a line without disturbing the bar."""
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Takes the bar away; the lines stay."""
        if self._bar:
            self._bar.stop()
