"""An engine that makes up ids, and everything that serves around it."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import jax
import numpy as np

from steppo_jax.chat import tokenizer
from steppo_jax.engine import Completion
from steppo_jax.gateway import restart
from steppo_jax.gateway.calls import Calls
from steppo_jax.gateway.pool import Pool
from steppo_jax.gateway.serving import Serving
from steppo_jax.gateway.terms import Terms
from tests.chat.make_reference import FOLDER


class MadeUp:
    """Answers `slots` at a time with `length` ids, `pace` of them a step."""

    def __init__(self, stop: int, slots: int = 16, length: int = 6, pace: int = 6):
        self.slots, self._length, self._pace, self._stop = slots, length, pace, stop
        self._asked, self._tickets, self.version = {}, 0, 0

    def submit(self, request):
        self._tickets += 1
        self._asked[self._tickets] = [request, 0]
        return self._tickets

    def refresh(self, params, version):
        self.version = version

    def so_far(self, ticket):
        return [30 + (ticket + n) % 60 for n in range(self._asked[ticket][1])]

    def step(self):
        done = []
        for ticket in list(self._asked)[: self.slots]:
            self._asked[ticket][1] += self._pace
            if self._asked[ticket][1] >= self._length:
                self._asked[ticket][1] = self._length - 1
                token = np.asarray([*self.so_far(ticket), self._stop])
                logs = np.full(len(token), -1.0, "float32")
                versions = np.full(len(token), self.version)
                request, _ = self._asked.pop(ticket)
                done.append(
                    (ticket, Completion(request, token, logs, versions, "stop"))
                )
        return done


@contextlib.contextmanager
def serving(
    record: pathlib.Path,
    terms: Terms,
    *,
    calls: int = 1024,
    limits=None,
    **engine,
) -> Iterator[Calls]:
    """What answers calls with made-up ids.

    Args:
      record: the file; `limits` are its Journal's.
      engine: of MadeUp.
    """
    chat = tokenizer.load(FOLDER)
    book, log = restart.remembered(record, 0, **(limits or {}))
    engines = Serving(MadeUp(chat.stop[0], **engine), calls)
    try:
        yield Calls(
            chat,
            engines,
            Pool(book, log, terms),
            jax.random.key(0),
            longest=4096,
            temperature=1.0,
            max_new=2**20,
        )
    finally:
        engines.stop()
        log.close()
