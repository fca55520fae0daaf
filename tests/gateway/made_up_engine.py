"""A gateway whose engine makes up ids, and a trainer that takes complete groups."""

from __future__ import annotations

import pathlib
import time

SHORTEN_FROM = 2**18  # bytes: a soak of minutes sees the record shortened often


def serve(record: pathlib.Path, port: int, steps: int) -> None:
    """Serves until it is killed."""
    # Here: the processes of harnesses need none of it.
    from steppo_jax.gateway import app, server
    from steppo_jax.gateway.limits import Limits
    from steppo_jax.gateway.programs import Source
    from steppo_jax.gateway.terms import Terms
    from tests.gateway import made_up

    limits = {"keep": True, "shorten_from": SHORTEN_FROM}
    terms = Terms(32, 1, steps, 0, 20.0, False)
    with made_up.serving(record, terms, limits=limits) as calls:
        http = server.Server(app.build(calls, Limits()), "127.0.0.1", port)
        http.start()
        iteration = calls.pool.live_from
        source = Source(calls, saved=lambda: max(iteration - 1, 0))
        while True:
            source.begin(iteration, iteration, {})
            source.wait()
            time.sleep(0.05)  # it learns
            iteration += 1
