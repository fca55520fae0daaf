"""A gateway whose engine makes up ids, and a trainer that takes complete groups."""

from __future__ import annotations

import pathlib
import threading
import time


def serve(record: pathlib.Path, port: int, steps: int) -> None:
    """Serves until it is killed."""
    import jax
    import numpy as np

    from steppo_jax.chat import tokenizer
    from steppo_jax.engine import Completion
    from steppo_jax.gateway import app, journal, server
    from steppo_jax.gateway.book import Book
    from steppo_jax.gateway.calls import Calls
    from steppo_jax.gateway.limits import Limits
    from steppo_jax.gateway.pool import Pool, Terms
    from steppo_jax.gateway.programs import Source
    from steppo_jax.gateway.serving import Serving
    from tests.chat.make_reference import FOLDER

    chat = tokenizer.load(FOLDER)

    class MadeUp:
        """Answers everything at its next step, `slots` at a time."""

        slots = 16

        def __init__(self):
            self._asked, self._tickets, self.version = [], 0, 0

        def submit(self, request):
            self._tickets += 1
            self._asked.append((self._tickets, request))
            return self._tickets

        def refresh(self, params, version):
            self.version = version

        def so_far(self, ticket):
            return []

        def step(self):
            now, self._asked = self._asked[: self.slots], self._asked[self.slots :]
            done = []
            for ticket, request in now:
                token = [30 + (ticket + n) % 60 for n in range(5)] + [chat.stop[0]]
                logs, versions = np.full(6, -1.0), np.full(6, self.version)
                made = (np.asarray(token), logs.astype("float32"), versions)
                done.append((ticket, Completion(request, *made, "stop")))
            return done

    book, log = Book(), journal.Journal(record)
    for event in journal.read(record):
        book.apply(event)
    terms = Terms(32, 1, steps, 0, 20.0, False)
    serving = Serving(MadeUp(), 1024)
    calls = Calls(
        chat,
        serving,
        Pool(book, log, terms),
        jax.random.key(0),
        longest=4096,
        temperature=1.0,
        max_new=8,
    )
    http = server.Server(app.build(calls, Limits()), "127.0.0.1", port)
    http.start()
    source = Source(calls)
    iteration = max(book.releases, default=-1) + 1
    stop = threading.Event()
    while not stop.is_set():
        source.begin(iteration, iteration, {})
        source.wait()
        time.sleep(0.05)  # it learns
        iteration += 1
