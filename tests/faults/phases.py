"""Where a run is at this moment, told through memory that processes share."""

from __future__ import annotations

import contextlib
import functools
import mmap
import struct
import time
from collections.abc import Iterator

from steppo_jax import programs, report, train
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.text.programs import TextPrograms

PHASES = ("start", "rollout", "update", "checkpoint", "evaluation", "report")


class Board:
    """One phase and how many were entered; written by one process, read by another."""

    def __init__(self):
        self._memory = mmap.mmap(-1, 16)

    def enter(self, phase: str) -> None:
        count = self.read()[1]
        self._memory[:16] = struct.pack("<QQ", PHASES.index(phase), count + 1)

    def clear(self) -> None:
        self._memory[:16] = bytes(16)

    def read(self) -> tuple[str, int]:
        place, count = struct.unpack("<QQ", self._memory[:16])
        return PHASES[place], count

    def wait(self, phase: str, seconds: float) -> bool:
        """Whether `phase` is entered within that time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found, count = self.read()
            if found == phase and count:
                return True
            time.sleep(0.0005)
        return False


@contextlib.contextmanager
def told(board: Board) -> Iterator[None]:
    """Runs inside tell the board which phase they enter."""

    def telling(phase, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            board.enter(phase)
            return function(*args, **kwargs)

        if hasattr(function, "lower"):  # a jitted function is asked for its memory
            wrapped.lower = function.lower
        return wrapped

    def program(phase, made):
        return property(lambda p: telling(phase, made.fget(p)))

    changes = (
        (train, "_start", telling("start", train._start)),
        (train.Loop, "evaluate", telling("evaluation", train.Loop.evaluate)),
        (Checkpoints, "save", telling("checkpoint", Checkpoints.save)),
        (report, "write", telling("report", report.write)),
        (TextPrograms, "collect", telling("rollout", TextPrograms.collect)),
    )
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, new in changes:
        setattr(owner, name, new)
    made = {name: vars(programs.Programs)[name] for name in ("collect", "update")}
    for name, phase in (("collect", "rollout"), ("update", "update")):
        setattr(programs.Programs, name, program(phase, made[name]))
    try:
        yield
    finally:
        for owner, name, old in before:
            setattr(owner, name, old)
        for name, old in made.items():
            setattr(programs.Programs, name, old)
