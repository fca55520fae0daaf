"""Two processes that do nothing but agree, one of them signalled: what the other does.

    python -m tests.processes.bare --kills=20 --signals TERM KILL

The loop of a run without the run: cheap to repeat. After SIGTERM to one both have to
end with 143 after the same round; after SIGKILL the other one has to end within LIMIT
seconds and say why. Prints one JSON line for each time, exit code 1 where one differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import signal
import socket
import sys
import tempfile
import time

import jax

from steppo_jax import processes

LIMIT = 90  # seconds: above the heartbeat of processes.PATIENCE


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def rounds(given: dict[str, str], counted: pathlib.Path) -> None:
    """Agrees until one process has had SIGTERM, writing down the number of rounds."""
    stop: list[int] = []
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 1)
    processes.join(given)
    with processes.leaving_together():
        # After initialize, which has a handler of its own.
        signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
        for done in range(1, 10_000):
            time.sleep(0.05)
            stopping = processes.any_of(bool(stop))
            counted.write_text(str(done))
            if stopping:
                raise SystemExit(128 + signal.SIGTERM)


def fork(port: int, index: int, folder: pathlib.Path) -> int:
    """Starts one of the two; its id."""
    forked = os.fork()
    if forked:
        return forked
    out = os.open(folder / f"log.{index}", os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    given = dict(
        zip(processes.ADDRESSES, (f"127.0.0.1:{port}", "2", str(index)), strict=True)
    )
    try:
        rounds(given, folder / f"rounds.{index}")
    finally:
        sys.stderr.flush()
        os._exit(70)


def once(number: signal.Signals, victim: int, folder: pathlib.Path) -> dict:
    """One pair, one signal; what happened."""
    port = free_port()
    both, codes = [fork(port, i, folder) for i in range(2)], {}
    counts = [folder / f"rounds.{i}" for i in range(2)]
    deadline = time.monotonic() + 300
    while not all(x.exists() and x.read_text() for x in counts):
        assert time.monotonic() < deadline, "the two did not meet"
        time.sleep(0.05)
    os.kill(both[victim], number)
    began = time.monotonic()
    while len(codes) < 2 and time.monotonic() < began + LIMIT:
        for i, one in enumerate(both):
            if i not in codes:
                found, status = os.waitpid(one, os.WNOHANG)
                if found:
                    codes[i] = os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    seconds = time.monotonic() - began
    for i in {0, 1} - set(codes):
        os.kill(both[i], signal.SIGKILL)
        os.waitpid(both[i], 0)
    said = (folder / f"log.{1 - victim}").read_text()
    if number == signal.SIGTERM:
        same = counts[0].read_text() == counts[1].read_text()
        fine = codes == {0: 143, 1: 143} and same
    else:
        fine = codes.get(1 - victim) == 1 and "another one is lost" in said
    return {
        "victim": victim,
        "codes": [codes.get(i) for i in range(2)],
        "seconds": round(seconds, 2),
        "fine": fine,
        "said": "" if fine else said[-300:],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--signals", nargs="+", default=["TERM"])
    given = parser.parse_args()
    fine = True
    for i, name in itertools.product(range(given.kills), given.signals):
        with tempfile.TemporaryDirectory() as folder:
            number = signal.Signals[f"SIG{name}"]
            found = once(number, i % 2, pathlib.Path(folder))
        print(json.dumps({"signal": name} | found), flush=True)
        fine &= found["fine"]
    raise SystemExit(not fine)


if __name__ == "__main__":
    main()
