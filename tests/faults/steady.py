"""A long run watched from outside: memory, threads, files, time of an iteration.

    python -m tests.faults.steady --iterations=1000 --out=DIR

Ends with one JSON line; exit code 1 where something grew. The first fifth is left out:
compiling and filling caches belongs to a start.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time

import numpy as np
import psutil

from tests.faults import lives
from tests.faults.phases import Board

MOST_MIB = 32.0  # growth over the rest of the run that is still noise


def watch(child: int, workdir: pathlib.Path, every: float = 2.0) -> tuple[list, int]:
    """Samples (iteration, MiB, threads, files) until it ends; and the exit code."""
    process, samples = psutil.Process(child), []
    while (code := lives.is_over(child)) is None:
        time.sleep(every)
        metrics = workdir / "metrics.jsonl"
        if not metrics.exists():
            continue
        iteration = metrics.read_bytes().count(b"\n")
        try:
            with process.oneshot():
                mib = process.memory_info().rss / 2**20
                samples.append(
                    (iteration, mib, process.num_threads(), process.num_fds())
                )
        except psutil.Error:  # it ended between the two
            continue
    return samples, code


def summary(samples: list, seconds: np.ndarray) -> dict:
    """What changed from the second fifth to the last one."""
    found = np.array(samples, float)
    last = found[:, 0].max()
    fifth = np.minimum(found[:, 0] * 5 // (last + 1), 4)

    def of(part: int, column: int) -> float:
        return float(np.median(found[fifth == part, column]))

    paces = np.array_split(seconds, 5)
    return {
        "iterations": int(last),
        "mib": [round(of(p, 1), 1) for p in range(5) if (fifth == p).any()],
        "threads": [of(p, 2) for p in range(5) if (fifth == p).any()],
        "files": [of(p, 3) for p in range(5) if (fifth == p).any()],
        "seconds_per_iteration": [round(float(np.median(p)), 3) for p in paces],
    }


def run(iterations: int, out: pathlib.Path) -> dict:
    what = lives.config(iterations, "checkpoint.every=10", "eval.every=50")
    workdir = out / "run"
    began = time.monotonic()
    child = lives.start(what, workdir, out / "run.log", Board(), out / "cache")
    samples, code = watch(child, workdir)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    times = [json.loads(x) for x in lines]
    seconds = np.array(
        [x["time/rollout_seconds"] + x["time/update_seconds"] for x in times]
    )
    found = summary(samples, seconds)
    grown = found["mib"][-1] - found["mib"][1]
    leaks = found["threads"][-1] - found["threads"][1]
    leaks += found["files"][-1] - found["files"][1]
    return found | {
        "grown_mib": round(grown, 1),
        "exit_code": code,
        "seconds": round(time.monotonic() - began),
        "steady": code == 0 and grown <= MOST_MIB and leaks <= 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    found = run(given.iterations, given.out.absolute())
    print(json.dumps(found), flush=True)
    raise SystemExit(0 if found["steady"] else 1)


if __name__ == "__main__":
    main()
