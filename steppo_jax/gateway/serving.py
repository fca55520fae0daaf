"""The engine in a thread of its own: requests from anywhere, new weights in between.

All requests share the engine's slots (continuous batching). New weights come between
two of its steps: a response in flight goes on, and its tokens tell who sampled them.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from steppo_jax.engine import Completion, Engine, Request

Hear = Callable[[list[int]], None]  # told all tokens so far, from the engine's thread


@dataclasses.dataclass
class Answered:
    """A response and the seconds from its submission to its end."""

    completion: Completion
    seconds: float


@dataclasses.dataclass
class _Asked:
    request: Request
    done: concurrent.futures.Future[Answered]
    hear: Hear | None
    since: float
    told: int = 0


class Stopped(RuntimeError):
    """The engine's thread is over."""


class Serving:
    """Owns an engine from `start` to `stop`.

    Args:
      limit: most requests that may wait or be answered; `full` says it is reached.
    """

    def __init__(self, engine: Engine, limit: int):
        self._engine, self._limit = engine, limit
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._asked: dict[int, _Asked] = {}
        self._lock, self._waiting = threading.Lock(), 0
        self.failed: BaseException | None = None
        self.tokens = 0  # sampled so far
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that are not yet answered."""
        return self._waiting

    @property
    def slots(self) -> int:
        return self._engine.slots

    @property
    def full(self) -> bool:
        return self._waiting >= self._limit

    def submit(
        self, request: Request, hear: Hear | None = None
    ) -> concurrent.futures.Future[Answered]:
        """The response, in time; EngineError where the engine refuses the request."""
        asked = _Asked(request, concurrent.futures.Future(), hear, time.perf_counter())
        if self.failed is not None:
            raise Stopped(f"the engine has failed: {self.failed!r}")
        with self._lock:
            self._waiting += 1
        asked.done.add_done_callback(self._less)
        self._inbox.put(asked)
        return asked.done

    def refresh(self, params: Any, version: int) -> None:
        """New weights; returns when the engine has them. They must stay as they are."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._inbox.put((params, version, done))
        if self.failed is not None:
            raise Stopped(f"the engine has failed: {self.failed!r}")
        done.result()

    def stop(self) -> None:
        """Ends the thread; whoever waits is told."""
        self._inbox.put(None)
        self._thread.join()

    def _less(self, _: concurrent.futures.Future) -> None:
        with self._lock:
            self._waiting -= 1

    def _run(self) -> None:
        try:
            while self._take():
                for ticket, completion in self._engine.step():
                    self._answer(self._asked.pop(ticket), completion)
                for ticket, asked in self._asked.items():
                    self._tell(ticket, asked)
        except BaseException as error:
            self.failed = error
        self.failed = self.failed or Stopped("it was stopped")
        for asked in self._asked.values():
            _fail(asked.done, self.failed)
        while not self._inbox.empty():
            left = self._inbox.get()
            if left is not None:
                done = left.done if isinstance(left, _Asked) else left[2]
                _fail(done, self.failed)

    def _take(self) -> bool:
        """Takes what came in, waiting where nothing else is to do; False at the end."""
        while True:
            try:
                came = self._inbox.get(block=not self._asked)
            except queue.Empty:
                return True
            if came is None:
                return False
            if isinstance(came, _Asked):
                self._submit(came)
            else:
                params, version, done = came
                self._engine.refresh(params, version)
                done.set_result(None)

    def _submit(self, asked: _Asked) -> None:
        try:
            self._asked[self._engine.submit(asked.request)] = asked
        except ValueError as error:  # it refuses this request, and no other
            _fail(asked.done, error)

    def _answer(self, asked: _Asked, completion: Completion) -> None:
        self.tokens += len(completion.token)
        seconds = time.perf_counter() - asked.since
        if asked.done.set_running_or_notify_cancel():
            asked.done.set_result(Answered(completion, seconds))

    def _tell(self, ticket: int, asked: _Asked) -> None:
        if asked.hear is None:
            return
        token = self._engine.so_far(ticket)
        if len(token) > asked.told:
            asked.told = len(token)
            asked.hear(token)


def _fail(done: concurrent.futures.Future, error: BaseException) -> None:
    if done.set_running_or_notify_cancel():
        done.set_exception(error)
