"""One training killed again and again, at random moments of random phases.

    python -m tests.faults.kills --kills=200 --iterations=150 --out=DIR

Ends with one JSON line: how often each phase was hit by each signal, how many lives
ended otherwise, and what differs from the undisturbed run (nothing, or exit code 1).
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

from tests.faults import lives, same
from tests.faults.phases import PHASES, Board

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
# Chance of each phase; in the others nothing is written that could be half-written.
WEIGHTS = {"start": 1, "rollout": 2, "update": 2, "checkpoint": 4, "evaluation": 3}
LATE = 0.15  # seconds after a phase began, at most


def life(what, folder, board, cache, log, draw, target) -> tuple[str, int]:
    """Starts the run, kills it in phase `target`; (phase hit, exit code)."""
    number = draw.choice(SIGNALS)
    child = lives.start(what, folder, log, board, cache)
    deadline = time.monotonic() + 600
    while not board.wait(target, 0.2):
        code = lives.is_over(child)
        if code is not None:
            return "none", code
        assert time.monotonic() < deadline, f"{target} never began; see {log}"
    time.sleep(draw.random() * LATE)
    hit = board.read()[0]
    os.kill(child, number)
    return hit, lives.end_of(child)


def run(kills: int, iterations: int, out: pathlib.Path, seed: int = 0) -> dict:
    """Kills one run so often, lets it end, compares it with an undisturbed one."""
    draw, board = random.Random(seed), Board()
    what = lives.config(iterations, "checkpoint.every=1", "eval.every=2")
    whole, torn, cache = out / "whole", out / "torn", out / "cache"
    began = time.monotonic()
    code = lives.end_of(lives.start(what, whole, out / "whole.log", board, cache))
    assert code == 0, f"the undisturbed run ended with {code}; see {out / 'whole.log'}"
    hits: collections.Counter = collections.Counter()
    codes: collections.Counter = collections.Counter()
    made = 0
    while made < kills:
        target = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        ended = (torn / "metrics.jsonl").exists() and (
            len((torn / "metrics.jsonl").read_text().splitlines()) >= iterations - 1
        )
        if ended:
            target = "report"
        hit, code = life(what, torn, board, cache, out / "torn.log", draw, target)
        codes[code] += 1
        if hit != "none":
            made += 1
            hits[hit] += 1
        if made % 10 == 0:
            print(json.dumps({"kills": made, "hits": hits, "codes": codes}), flush=True)
    code = lives.end_of(lives.start(what, torn, out / "torn.log", board, cache))
    log = (out / "torn.log").read_text()
    return {
        "kills": made,
        "hits": {phase: hits[phase] for phase in PHASES},
        "exit_codes": dict(codes),
        "last": code,
        "tracebacks": log.count("Traceback"),
        "differences": same.differences(torn, whole, iterations),
        "seconds": round(time.monotonic() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    found = run(given.kills, given.iterations, given.out.absolute(), given.seed)
    print(json.dumps(found), flush=True)
    bad = found["last"] or found["tracebacks"] or found["differences"]
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
