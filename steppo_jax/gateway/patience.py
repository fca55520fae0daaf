"""Connections that take nothing or say nothing are cut: they are held in memory, and
the server has only so many.

A server closes a connection when everything was sent, which a client that never reads
can put off for ever. So what waits for a client must have left once in
`Limits.read_seconds`, and a request's headers must be complete after
`Limits.send_seconds`; the time for a body is `limits.Guarded`'s.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from steppo_jax.gateway.limits import Limits

READING, SPEAKING = "reading", "speaking"


class Patience:
    """Looks at a server's connections (uvicorn's protocols) from time to time."""

    def __init__(self, limits: Limits):
        self._most = {READING: limits.read_seconds, SPEAKING: limits.send_seconds}
        self._since: weakref.WeakKeyDictionary[Any, tuple[str, float]]
        self._since = weakref.WeakKeyDictionary()

    def look(self, connections: Iterable[Any], now: float) -> None:
        """Cuts whoever was waited for too long; `now` in seconds of any clock."""
        for one in list(connections):
            what = _awaited(one)
            if what is None:
                self._since.pop(one, None)
                continue
            before, since = self._since.get(one, (None, now))
            if before != what:
                self._since[one] = (what, now)
            elif now - since >= self._most[what]:
                one.transport.abort()


def _awaited(one: Any) -> str | None:
    """What a connection's client is to do next, if it is its turn."""
    if one.transport.get_write_buffer_size() > 0:
        return READING
    answered = one.cycle is None or one.cycle.response_complete
    # While that timer runs it is uvicorn that ends an idle connection.
    if answered and one.timeout_keep_alive_task is None:
        return SPEAKING
    return None
