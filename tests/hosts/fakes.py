"""A family of a few lines, as docs/hosts.md shows one, and ways in which it fails."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from typing import ClassVar


class Corridor:
    """Walk `length` steps: "on" goes on and pays 1 at the end, all else stands."""

    instructions = "Say on to walk on."

    def __init__(self, delay: float):
        self._delay = delay

    def reset(self, *, seed=None, options=None):
        self.task, self.place = options["task"], 0
        self.length = 1 + self.task % 3
        return self._seen()

    def step(self, action):
        time.sleep(self._delay * (1 + self.task % 4))
        self.misbehave(action)
        self.place += action.strip() == "on"
        over = self.place >= self.length
        return self._seen()[0], float(over), over, False, self._seen()[1]

    def misbehave(self, action):
        if action == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "hang":
            time.sleep(60)
        elif action == "fail":
            raise RuntimeError("two\nlines")
        elif action == "print":
            print("\0\0\0\1x", flush=True)  # goes nowhere near the answers
            subprocess.run(["echo", "y"], check=True)
        elif action == "nan":
            self.place = float("nan")
        elif action == "child":
            self.child = subprocess.Popen(["sleep", "60"])

    def _seen(self):
        info = {
            "expert": "on",
            "commands": ["on", "stand"],
            "outcome": {"success": float(self.place >= self.length)},
        }
        if hasattr(self, "child"):
            info["child"] = self.child.pid
        if self.place != self.place:
            info["outcome"]["success"] = self.place
        return f"You are at {self.place} of {self.length}.", info


@dataclasses.dataclass(frozen=True)
class Corridors:
    name: ClassVar[str] = "corridors"
    panels: ClassVar[tuple[str, ...]] = ("train", "test")
    has_expert: ClassVar[bool] = True
    version: ClassVar[str] = "1"
    instructions: ClassVar[str] = Corridor.instructions

    max_steps: int = 4
    on_time_limit: str = "terminal"
    think_tokens: int = 0
    delay: float = 0.0
    missing: bool = False

    def check(self):
        pass

    def size(self, panel):
        return 12

    def golden_steps(self, panel, task):
        return 1 + task % 3

    def make(self):
        if self.missing:
            raise FileNotFoundError("no such game")
        return Corridor(self.delay)


class Paid(Corridor):
    """Pays for what is said, so that episodes differ in their rewards."""

    def step(self, action):
        seen, _, over, cut, info = super().step(action)
        return seen, float(len(action)), over, cut, info


@dataclasses.dataclass(frozen=True)
class Chatty(Corridors):
    def make(self):
        return Paid(self.delay)
