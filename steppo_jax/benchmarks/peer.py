"""Other people's code beside the same work of ours, in a process of its own.

A script beside this file, run by an interpreter that has what it needs. It reads the
name of one job a line and answers each with a line of JSON: seconds on the wall and of
the CPU. So the caller can take turns with it, and no thread of the one waits inside the
other.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from steppo_jax.errors import Refused

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NEEDS = {  # by script
    "peer_model": "torch and transformers",
    "peer_credit": "torch",
    "peer_tunix": "google-tunix",
}


class Peer:
    """The caller's end: a script of this folder, run by `python`, with a folder."""

    def __init__(self, python: str, script: str, folder: pathlib.Path, **numbers: int):
        words = [f"{name}={value}" for name, value in numbers.items()]
        self._needs = NEEDS[script]
        self._process = subprocess.Popen(
            [python, "-m", f"steppo_jax.benchmarks.{script}", str(folder), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.about = self._answer(python)

    def _answer(self, python: str) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise Refused(
                f"--peer={python} ended with code {self._process.wait()}; it must be a "
                f"Python with {self._needs} (its own words are above)"
            )
        return json.loads(line)

    def time(self, job: str) -> dict[str, float]:
        """Seconds ("wall", "cpu") of doing a job once."""
        self._process.stdin.write(job + "\n")
        self._process.stdin.flush()
        return self._answer(self._process.args[0])

    def asks(self, jobs: Iterable[str]) -> dict[str, Callable[[], dict[str, float]]]:
        """By job, a call that has it done once; see `time`."""
        return {job: functools.partial(self.time, job) for job in jobs}

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def numbers() -> dict[str, int]:
    """Of the script: what it was given beside the folder."""
    words = (word.split("=") for word in sys.argv[2:])
    return {name: int(value) for name, value in words}


def asked(about: dict[str, Any]) -> Iterator[str]:
    """The script's end: says what it is, then gives the jobs that are asked for.

    A job has taken as long as until the next one is fetched.
    """
    print(json.dumps(about), file=sys.__stdout__, flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        yield line.strip()
        took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        print(json.dumps(took), file=sys.__stdout__, flush=True)


def serve(jobs: Mapping[str, Callable[[], Any]], about: dict[str, Any]) -> None:
    """Does the jobs by name."""
    for job in asked(about):
        jobs[job]()
