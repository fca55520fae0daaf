"""A long run watched from outside: memory, time, threads, files, processes.

    python -m tests.faults.steady --minutes=120 --out=DIR
    python -m tests.faults.steady --run=host --minutes=30 --out=DIR

Samples go into DIR/samples.jsonl, of which `slopes` draws what grew. The run has no end
of its own: SIGTERM stops it, and it must save and leave nothing behind. Ends with one
JSON line; exit code 1 where something grew or stayed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import time

import psutil

from tests.faults import lives, runs, slopes
from tests.faults.phases import Board

NEVER = 10**6  # iterations: more than any watch sees
EVERY = 2.0  # seconds between two samples


def sample(process: psutil.Process, iteration: int) -> dict[str, float]:
    """What a run and its children hold at this moment; MiB are those of all."""
    children = process.children(recursive=True)
    everyone = [process, *children]
    with process.oneshot():
        # What the children used and use counts too: user and system, both.
        times = process.cpu_times()
        cpu = sum(times[:4]) + sum(sum(c.cpu_times()[:2]) for c in children)
        return {
            "seconds": time.monotonic(),
            "iteration": iteration,
            "cpu_seconds": cpu,
            "mib": sum(p.memory_info().rss for p in everyone) / 2**20,
            "threads": process.num_threads(),
            "files": process.num_fds(),
            "children": len(children),
        }


def watch(child: int, workdir: pathlib.Path, log: pathlib.Path, minutes: float) -> int:
    """Writes samples so long, ends the run by SIGTERM; its exit code."""
    process, metrics = psutil.Process(child), workdir / "metrics.jsonl"
    end, told = None, False
    with log.open("w") as file:
        while (code := lives.is_over(child)) is None:
            time.sleep(EVERY)
            if not metrics.exists():
                continue
            iteration = metrics.read_bytes().count(b"\n")
            if end is None and iteration:
                end = time.monotonic() + 60 * minutes
            if end is not None and time.monotonic() > end and not told:
                told = True
                os.kill(child, signal.SIGTERM)
            try:
                file.write(json.dumps(sample(process, iteration)) + "\n")
                file.flush()
            except psutil.Error:  # one of them ended between the two
                continue
    return code


def run(kind: str, minutes: float, out: pathlib.Path) -> dict:
    """Starts a run, watches it, sums up."""
    what = runs.KINDS[kind](NEVER, out, "checkpoint.every=10", "eval.every=50")
    workdir = out / "run"
    log = out / "samples.jsonl"
    child = lives.start(what, workdir, out / "run.log", Board(), out / "cache")
    code = watch(child, workdir, log, minutes)
    found = slopes.summary(slopes.read(log))
    left = runs.left_behind(workdir, out / lives.TEMPORARY)
    steady = code == 128 + signal.SIGTERM and not found["grown"] and not left
    return {"exit_code": code, "left_behind": left, **found, "steady": steady}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", choices=tuple(runs.KINDS), default="device")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found = run(given.run, given.minutes, given.out.absolute())
    print(json.dumps(found), flush=True)
    raise SystemExit(0 if found["steady"] else 1)


if __name__ == "__main__":
    main()
