"""Worker processes, asked without waiting: submit a reset or a step, poll who answered.

A worker that dies, hangs past its time limit, reports an error or answers rubbish is
killed with everything it started; its episode is reported as lost, and the next reset
at its place starts another worker. Nothing is ever made up for an answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from typing import Any

from steppo_jax.hosts import frames
from steppo_jax.hosts.base import HostFamily, Info
from steppo_jax.hosts.worker import FOLDER

# All that a worker knows of the run's environment variables.
VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "JAVA_HOME", "ALFWORLD_DATA")
VARIABLES += ("LD_LIBRARY_PATH", "WEBSHOP_DATA", "HOTPOTQA_DATA", "PAPER_SEARCH_DATA")
CHUNK = 2**16  # bytes read at once


@dataclasses.dataclass(frozen=True)
class Limits:
    """Seconds that a worker may take."""

    reset: float
    step: float
    start: float = 180.0  # to import, make an environment, start Java


@dataclasses.dataclass(frozen=True)
class Seen:
    """What an environment answered at a place; after a reset reward is 0."""

    place: int
    observation: str
    info: Info
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False


@dataclasses.dataclass(frozen=True)
class Lost:
    """The episode at a place is gone."""

    place: int
    cause: str


class _Worker:
    """One child process and what it was asked."""

    def __init__(self, family: HostFamily, folder: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "steppo_jax.hosts.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_variables(),
            start_new_session=True,  # a group of its own: its Java dies with it
        )
        for pipe in (self.process.stdin, self.process.stdout):
            os.set_blocking(pipe.fileno(), False)
        self.inbox, self.outbox = bytearray(), bytearray()
        self.asked: dict[int, float] = {}  # id → deadline of its answer
        self.last = 0
        fields = {f.name: getattr(family, f.name) for f in dataclasses.fields(family)}
        where = f"{type(family).__module__}:{type(family).__qualname__}"
        self.made = False
        self._make = {"do": "make", "family": where, "fields": fields}

    def make(self, limit: float) -> None:
        """Asks for the environment."""
        self.ask(self._make, limit)

    def ask(self, request: dict[str, Any], limit: float) -> None:
        """Puts a request into the outbox; time counts from the one before it."""
        self.last += 1
        start = max([time.monotonic(), *self.asked.values()])
        self.asked[self.last] = start + limit
        self.outbox += frames.pack(request | {"id": self.last})
        self.write()

    def write(self) -> None:
        """Sends what the pipe takes. A dead reader is found by reading."""
        try:
            sent = os.write(self.process.stdin.fileno(), self.outbox)
            del self.outbox[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.outbox.clear()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()


class Pool:
    """`size` places, each with a worker that plays one episode at a time.

    Workers start when they are first needed and live until `close`, or the end of the
    pool or the process, whatever way that comes.
    """

    def __init__(self, family: HostFamily, size: int, limits: Limits):
        self.family, self.size, self.limits = family, size, limits
        self.restarts = 0  # workers that were killed or found dead
        self._workers: dict[int, _Worker] = {}
        self._lost: list[Lost] = []  # to be told at the next poll
        self._playing: set[int] = set()  # places with an episode
        self._selector = selectors.DefaultSelector()
        self._folder = tempfile.mkdtemp(prefix=FOLDER)
        self._end = weakref.finalize(
            self, _close, self._workers, self._selector, self._folder
        )

    def processes(self) -> dict[int, int]:
        """Place → process id of every living worker."""
        return {place: w.process.pid for place, w in self._workers.items()}

    def reset(self, place: int, seed: int | None, options: Info) -> None:
        """Asks for the first observation of an episode."""
        self._playing.add(place)
        worker = self._workers.get(place)
        if worker is not None and worker.process.poll() is not None:
            self._drop(place)
            worker = None
        if worker is None:
            worker = _Worker(self.family, self._folder)
            self._workers[place] = worker
            out = worker.process.stdout
            self._selector.register(out, selectors.EVENT_READ, place)
            worker.make(self.limits.start)
        request = {"do": "reset", "seed": seed, "options": options}
        worker.ask(request, self.limits.reset)

    def step(self, place: int, action: str) -> None:
        """Acts in the episode at a place."""
        if place in self._workers:  # else it is lost already, and told
            request = {"do": "step", "action": action}
            self._workers[place].ask(request, self.limits.step)

    def release(self, place: int) -> None:
        """The episode at a place is over; its worker waits for the next."""
        self._playing.discard(place)

    def abandon(self) -> None:
        """Drops all episodes: nobody wants the answers that are still to come."""
        self._playing.clear()
        for place in [p for p, worker in self._workers.items() if worker.asked]:
            self._drop(place)

    def poll(self, seconds: float) -> list[Seen | Lost]:
        """Whatever came; waits so long at most for the first of it."""
        until = time.monotonic() + seconds
        while True:
            found: list[Seen | Lost] = [*self._lost]
            self._lost.clear()
            now = time.monotonic()
            wait = 0.0 if found else max(until - now, 0.0)
            near = [min(w.asked.values()) for w in self._workers.values() if w.asked]
            wait = max(min([wait, *(limit - now for limit in near)]), 0.0)
            if any(w.outbox for w in self._workers.values()):
                wait = min(wait, 0.01)
            for worker in self._workers.values():
                if worker.outbox:
                    worker.write()
            for key, _ in self._selector.select(wait):
                found += self._read(key.data)
            self._end_overdue()
            found += self._lost
            self._lost.clear()
            if found or time.monotonic() >= until:
                return found

    def close(self) -> None:
        """Ends all workers; the pool is of no use any more."""
        self._end()

    def _read(self, place: int) -> list[Seen]:
        worker = self._workers[place]
        try:
            data = os.read(worker.process.stdout.fileno(), CHUNK)
            if not data:
                self._lose(place, "the worker died")
                return []
            worker.inbox += data
            found = []
            while place in self._workers:
                message = frames.unpack(worker.inbox)
                if message is None:
                    break
                seen = self._understood(place, worker, message)
                found += [] if seen is None else [seen]
            return found
        except BlockingIOError:
            return []
        except frames.Rubbish as error:
            self._lose(place, f"the worker answered rubbish: {error}")
            return []

    def _understood(self, place: int, worker: _Worker, said: dict) -> Seen | None:
        """The answer in a message, checked; None for the one to `make`."""
        if said.get("id") not in worker.asked:
            raise frames.Rubbish("an answer that nobody asked for")
        if "error" in said:
            self._lose(place, str(said["error"]))
            return None
        del worker.asked[said.pop("id")]
        if not worker.made:
            worker.made = True
            return None
        try:
            seen = Seen(place, **said)
        except TypeError as error:
            raise frames.Rubbish(str(error)) from None
        number = type(seen.reward) in (int, float) and math.isfinite(seen.reward)
        flags = (seen.terminated, seen.truncated)
        if not (
            number
            and isinstance(seen.observation, str)
            and isinstance(seen.info, dict)
            and all(type(flag) is bool for flag in flags)
        ):
            raise frames.Rubbish("a field of another type")
        return seen

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for place, worker in list(self._workers.items()):
            if worker.asked and min(worker.asked.values()) <= now:
                self._lose(place, "the worker took longer than its time limit")

    def _lose(self, place: int, cause: str) -> None:
        """Ends a worker; its episode, if it has one, is told as lost."""
        self._drop(place)
        if place in self._playing:
            self._playing.discard(place)
            self._lost.append(Lost(place, cause))

    def _drop(self, place: int) -> None:
        worker = self._workers.pop(place)
        self._selector.unregister(worker.process.stdout)
        worker.kill()
        self.restarts += 1


def _variables() -> dict[str, str]:
    """A worker's environment: hashes that are the same in every process, one thread."""
    given = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    found = [str(pathlib.Path(p).resolve()) for p in sys.path if p]
    return given | {
        "PYTHONPATH": os.pathsep.join(found),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
    }


def _close(workers: dict[int, _Worker], selector, folder: str) -> None:
    for worker in workers.values():
        worker.kill()
    workers.clear()
    selector.close()
    shutil.rmtree(folder, ignore_errors=True)
