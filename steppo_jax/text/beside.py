"""Work beside the main thread, whose result or error is asked for later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Abandoned(Exception):
    """Nobody waits for this work any longer."""


class Begun(Generic[T]):
    """What `begin` gives."""

    def __init__(self, work: Callable[[], T]):
        self._work, self._error = work, None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # raised where it is asked for
            self._error = error

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Until it ended, in whatever way."""
        self._thread.join()

    def result(self) -> T:
        """Waits; the value, or the error raised again."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value


def begin(work: Callable[[], T]) -> Begun[T]:
    """Starts it at once."""
    return Begun(work)
