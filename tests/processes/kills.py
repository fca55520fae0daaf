"""One run of two processes, one of them signalled again and again.

    python -m tests.processes.kills --kills=20 --signal=TERM --out=DIR
    python -m tests.processes.kills --kills=20 --signal=KILL --out=DIR

After SIGTERM both have to end with 143, saved after the same iteration, and go on from
there; after SIGKILL the other one has to end within LIMIT seconds with a line that says
so, and the run goes on from its last complete checkpoint. Ends with one JSON line; exit
code 1 where anything else happened or the metrics are not those of one undisturbed
process with two devices.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import random
import signal
import time

import jax

from tests.faults import lives
from tests.processes import child
from tests.processes.bare import free_port

LIMIT = 90  # seconds: above processes.PATIENCE's heartbeat


def start(count: int, folder: pathlib.Path, iterations: int, log: pathlib.Path):
    """Forks `count` processes of one run; their ids."""
    port = free_port()
    return [_fork(port, count, i, folder, iterations, log) for i in range(count)]


def _fork(port, count, index, folder, iterations, log) -> int:
    forked = os.fork()
    if forked:
        return forked

    def work() -> None:
        out = os.open(f"{log}.{index}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ |= {
            "STEPPO_COORDINATOR": f"127.0.0.1:{port}",
            "STEPPO_PROCESSES": str(count),
            "STEPPO_PROCESS_ID": str(index),
        }
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_disable_most_optimizations", True)
        jax.config.update("jax_compilation_cache_dir", str(folder.parent / "cache"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        child.main(folder, iterations, 0.1)
        if count > 1:
            jax.distributed.shutdown()

    lives.exit_after(work)


def lines(folder: pathlib.Path) -> list[dict]:
    """Metrics of a run, but for the clock's."""
    path = folder / "run" / "metrics.jsonl"
    text = path.read_text().splitlines() if path.exists() else []
    return [
        {k: v for k, v in json.loads(x).items() if not k.startswith("time/")}
        for x in text
        if x.endswith("}")
    ]


def newest(folder: pathlib.Path) -> int:
    """Iteration of the newest complete checkpoint; -1 without one."""
    names = (folder / "run" / "checkpoints").glob("[0-9]*")
    return max((int(p.name) for p in names if p.name.isdecimal()), default=-1)


def life(folder, iterations, log, number, draw) -> dict:
    """Starts two processes, signals one of them; what happened."""
    before = len(lines(folder))
    both = start(2, folder, iterations, log)
    victim, more = draw.randrange(2), draw.randint(1, 3)
    try:
        deadline = time.monotonic() + 600
        while len(lines(folder)) < before + more:
            alive = lives.is_over(both[0]) is None and time.monotonic() < deadline
            assert alive, f"no iteration came; see {log}.*"
            time.sleep(0.02)
        os.kill(both[victim], number)
        began, codes = time.monotonic(), {}
        while len(codes) < 2:
            for i, one in enumerate(both):
                if i not in codes and (code := lives.is_over(one)) is not None:
                    codes[i] = code
            assert time.monotonic() < began + LIMIT, f"still there; see {log}.*"
            time.sleep(0.05)
    except BaseException:
        for one in both:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        raise
    seconds = time.monotonic() - began
    saved, written = newest(folder), len(lines(folder))
    fine = saved >= 0
    if number == signal.SIGTERM:
        fine = codes == {0: 143, 1: 143} and saved == written
    else:
        fine = fine and codes[1 - victim] != 0
    return {
        "victim": victim,
        "codes": [codes[0], codes[1]],
        "saved": saved,
        "written": written,
        "seconds": round(seconds, 1),
        "fine": fine,
    }


def run(kills: int, number: signal.Signals, out: pathlib.Path, seed: int = 0) -> dict:
    """Signals one run so often, lets it end, compares it with an undisturbed one."""
    draw, iterations = random.Random(seed), 4 * kills + 4
    torn, whole, log = out / "torn" / "x", out / "whole" / "x", out / "log"
    out.mkdir(parents=True, exist_ok=True)
    found = []
    while len(found) < kills:
        if len(lines(torn)) >= iterations - 4:
            iterations += 4 * kills
        found.append(life(torn, iterations, log, number, draw))
        print(json.dumps(found[-1]), flush=True)
    iterations = max(newest(torn), 0) + 3
    ends = [lives.end_of(x) for x in start(2, torn, iterations, log)]
    ends += [lives.end_of(x) for x in start(1, whole, iterations, log)]
    return {
        "signal": number.name,
        "kills": kills,
        "fine": sum(x["fine"] for x in found),
        "longest_seconds": max(x["seconds"] for x in found),
        "ends": ends,
        "iterations": iterations,
        "same": lines(torn) == lines(whole) and len(lines(whole)) == iterations,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--signal", choices=("TERM", "KILL"), default="TERM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    number = signal.Signals[f"SIG{given.signal}"]
    found = run(given.kills, number, given.out.absolute(), given.seed)
    print(json.dumps(found), flush=True)
    good = found["fine"] == found["kills"] and found["same"] and not any(found["ends"])
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
