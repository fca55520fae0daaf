"""Makes batches in several processes, each pinned to cores of its own.

A worker dies with the process that started it, however that ends. What a worker
prints goes to worker-N.log.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any

from steppo_jax.ablation import plan
from steppo_jax.ablation.overall import Overall, Tell
from steppo_jax.ablation.plan import Batch
from steppo_jax.errors import Refused

Failures = dict[str, str]  # run → why it has not ended
Work = Callable[[Batch], None]


def train_batches(ablation: str, folder: pathlib.Path, tell: Tell) -> Work:
    """What a worker does with a batch; made in the worker."""
    from steppo_jax.ablation.work import Worker  # what trains is imported there only

    return Worker(ablation, folder, tell)


def run(
    batches: Sequence[Batch],
    jobs: int,
    ablation: str,
    folder: pathlib.Path,
    overall: Overall,
    make: Callable[[str, pathlib.Path, Tell], Work] = train_batches,
) -> Failures:
    """Makes all batches, `jobs` at a time. SIGTERM and Ctrl-C stop the workers too.

    `make` must be a function that a new process can import.
    """
    waiting, failures = list(batches), {}
    context = multiprocessing.get_context("spawn")  # jax does not survive a fork
    workers = [_Worker(context, i, jobs, ablation, folder, make) for i in range(jobs)]
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        for worker in workers:
            worker.next(waiting, workers)
        while busy := [w for w in workers if w.batch is not None]:
            ready = connection.wait([w.pipe for w in busy])
            for worker in (w for w in busy if w.pipe in ready):
                failures |= worker.hear(overall)
                if worker.batch is None:
                    worker.next(waiting, workers)
        if waiting:  # every worker is dead
            left = [run.name for batch in waiting for run in batch.runs]
            failures |= {name: "no worker was left for it" for name in left}
    finally:
        for worker in workers:
            worker.close()
        signal.signal(signal.SIGTERM, before)
    return failures


def _stop(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


class _Worker:
    """One process, as its starter sees it."""

    def __init__(self, context, place: int, jobs: int, ablation: str, folder, make):
        self.pipe, theirs = context.Pipe()
        self.batch: Batch | None = None
        self._last: str | None = None
        self._log = folder / f"worker-{place}.log"
        cores = _share(place, jobs)
        arguments = (theirs, cores, make, ablation, folder, self._log)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def next(self, waiting: list[Batch], workers: Sequence[_Worker]) -> None:
        """Takes the batch that suits it best, if any is left and it lives."""
        if not waiting or not self._process.is_alive():
            return
        others = [w.batch for w in workers if w is not self and w.batch is not None]
        self.batch = plan.choose(waiting, self._last, others)
        waiting.remove(self.batch)
        self._last = self.batch.shape
        self.pipe.send(self.batch)

    def hear(self, overall: Overall) -> Failures:
        """Passes one message on; what failed, if that is what it says."""
        assert self.batch is not None
        names = [run.name for run in self.batch.runs]
        try:
            kind, of, what = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            self.batch = None
            why = f"its process ended with code {self._process.exitcode}"
            return {name: f"{why}; see {self._log}" for name in names}
        if kind not in ("failed", "done"):
            overall.hear(kind, of, what)
            return {}
        self.batch = None
        return {name: what for name in names} if kind == "failed" else {}

    def close(self) -> None:
        """Ends the process; a run that goes on is saved first."""
        if self.batch is None:
            self.pipe.close()  # it is waiting for one, and ends
        elif self._process.is_alive():
            self._process.terminate()
        self._process.join()


def _share(place: int, jobs: int) -> set[int] | None:
    """The cores of worker `place`; None where cores cannot be chosen, or are fewer."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    each = len(cores) // jobs
    return set(cores[place * each : (place + 1) * each]) if each else None


def _serve(pipe, cores, make, ablation: str, folder, log: pathlib.Path) -> None:
    """The worker: batches in, messages out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the starter decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with log.open("a", buffering=1) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    if cores:
        os.sched_setaffinity(0, cores)
    work = make(ablation, folder, lambda *message: pipe.send(message))
    while True:
        try:
            batch = pipe.recv()
        except EOFError:
            return
        try:
            work(batch)
        except Refused as error:
            pipe.send(("failed", "", str(error)))
        except Exception as error:
            traceback.print_exc()
            text = " ".join(f"{type(error).__name__}: {error}".split())
            pipe.send(("failed", "", f"{text[:200]}; see {log}"))
        else:
            pipe.send(("done", "", ""))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)
