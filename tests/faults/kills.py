"""One training killed again and again, at random moments of random phases.

    python -m tests.faults.kills --kills=200 --iterations=120 --out=DIR
    python -m tests.faults.kills --run=host --kills=200 --iterations=60 --out=DIR

Ends with one JSON line: how often each phase was hit by each signal, how many lives
ended otherwise, and what differs from the undisturbed run (nothing, or exit code 1).
With --run=host some of its worker processes are killed too, and none may stay.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import time

import psutil

from tests.faults import lives, runs, same
from tests.faults.phases import PHASES, Board
from tests.hosts.test_pool import until_gone

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
# Chance of each phase; in the others nothing is written that could be half-written.
WEIGHTS = {"start": 1, "rollout": 2, "update": 2, "checkpoint": 4, "evaluation": 3}
LATE = 0.15  # seconds after a phase began, at most
REPORTS = 10  # one kill in so many, the last ones, is in the report
ROBBED = 0.3  # chance that a worker is killed before its run is


class Killer:
    """Lives of one run, and what was done to them."""

    def __init__(self, what, out: pathlib.Path, seed: int):
        self.what, self.out, self.draw = what, out, random.Random(seed)
        self.board, self.torn = Board(), out / "torn"
        self.hits: collections.Counter = collections.Counter()
        self.signals: collections.Counter = collections.Counter()
        self.codes: collections.Counter = collections.Counter()
        self.workers = 0  # killed
        self.stayed: list[int] = []  # processes that outlived their run

    def begin(self, workdir: pathlib.Path) -> int:
        log = self.out / f"{workdir.name}.log"
        return lives.start(self.what, workdir, log, self.board, self.out / "cache")

    def life(self, target: str) -> None:
        """Starts the run, kills it in phase `target` unless it ends before."""
        child = self.begin(self.torn)
        if not self._reached(child, target):
            return
        robbed = self.draw.random() < ROBBED and self._rob(child)
        if robbed and not self._reached(child, target):
            return
        time.sleep(self.draw.random() * LATE)
        number = self.draw.choice(SIGNALS)
        hit, family = self.board.read()[0], _family(child)
        os.kill(child, number)
        self.hits[hit] += 1
        self.signals[number.name] += 1
        self.codes[lives.end_of(child)] += 1
        self.stayed += [pid for pid in family if not until_gone(pid)]

    def _reached(self, child: int, target: str) -> bool:
        """Waits until the run enters a phase; False where it ended."""
        deadline = time.monotonic() + 600
        while not self.board.wait(target, 0.2):
            code = lives.is_over(child)
            if code is not None:
                self.codes[code] += 1
                return False
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                raise SystemExit(f"{target} never began; see {self.out}")
        return True

    def _rob(self, child: int) -> bool:
        """Kills one of the run's workers; False where it has none."""
        family = _family(child)
        if family:
            os.kill(self.draw.choice(family), signal.SIGKILL)
            self.workers += 1
            time.sleep(LATE)
        return bool(family)


def _family(child: int) -> list[int]:
    return [p.pid for p in psutil.Process(child).children(recursive=True)]


def lived(workdir: pathlib.Path) -> int:
    """Lines of metrics that a run has."""
    file = workdir / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def run(kind: str, kills: int, iterations: int, out: pathlib.Path, seed: int) -> dict:
    """Kills one run so often, lets it end, compares it with an undisturbed one."""
    what = runs.KINDS[kind](iterations, out, "checkpoint.every=1", "eval.every=2")
    killer, whole, began = Killer(what, out, seed), out / "whole", time.monotonic()
    code = lives.end_of(killer.begin(whole))
    assert code == 0, f"the undisturbed run ended with {code}; see {out / 'whole.log'}"
    while (made := killer.hits.total()) < kills:
        target = killer.draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if made >= kills - kills // REPORTS or lived(killer.torn) >= iterations - 1:
            target = "report"
        killer.life(target)
        if made % 10 == 0:
            print(json.dumps({"kills": made, "hits": killer.hits}), flush=True)
    code = lives.end_of(killer.begin(killer.torn))
    return {
        "kills": made,
        "signals": dict(killer.signals),
        "hits": {phase: killer.hits[phase] for phase in PHASES},
        "exit_codes": dict(killer.codes),
        "last": code,
        "tracebacks": (out / "torn.log").read_text().count("Traceback"),
        "workers_killed": killer.workers,
        "processes_left": killer.stayed,
        "files_left": runs.left_behind(killer.torn, out / lives.TEMPORARY),
        "differences": same.differences(killer.torn, whole, iterations),
        "seconds": round(time.monotonic() - began),
    }


BAD = ("last", "tracebacks", "processes_left", "files_left", "differences")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", choices=tuple(runs.KINDS), default="device")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--iterations", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    out = given.out.absolute()
    found = run(given.run, given.kills, given.iterations, out, given.seed)
    print(json.dumps(found), flush=True)
    raise SystemExit(1 if any(found[name] for name in BAD) else 0)


if __name__ == "__main__":
    main()
