"""The record of a gateway: nothing is acknowledged before it is on disk.

One JSON object a line. Lines that are waiting go to the disk together, with one fsync,
by a thread of their own, in the order they were appended. A process killed in the
middle leaves whole lines and at most one half line, which `Journal` cuts off. Where it
is shortened (`shorten`), the same thread does that between two writes.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import threading
from collections.abc import Callable
from typing import Any

from steppo_jax.gateway import record_file
from steppo_jax.gateway.record_file import Event

SHORTEN_FROM = 2**22  # bytes of a record that is worth shortening


@dataclasses.dataclass
class _Line:
    said: bytes
    done: concurrent.futures.Future[None] = dataclasses.field(
        default_factory=concurrent.futures.Future
    )


@dataclasses.dataclass
class _Shortening:
    wants: Callable[[Event], bool]
    last: bytes
    done: concurrent.futures.Future[None] = dataclasses.field(
        default_factory=concurrent.futures.Future
    )


class Journal:
    """The file, open for appending. `failed` is why nothing can be written any more.

    Args:
      keep: what is shortened stays as a numbered file beside it.
      shorten_from: bytes from which on it is `long`.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        keep: bool = False,
        shorten_from: int = SHORTEN_FROM,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.failed = path, None
        self._keep, self._least = keep, shorten_from
        self._file = record_file.locked(path)
        record_file.cut_half_line(path)
        self._size = os.fstat(self._file.fileno()).st_size
        self._long_from = self._least
        self._not_shortened: Exception | None = None
        self._waiting: collections.deque[_Line | _Shortening] = collections.deque()
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    @property
    def long(self) -> bool:
        """Whether it is worth shortening: at least twice what was left last time."""
        return self._size >= self._long_from

    def append(self, event: Event) -> concurrent.futures.Future[None]:
        """Queues an event; done once it is on disk, or with the disk's error."""
        return self._queue(_Line(record_file.line(event)))

    def shorten(
        self, wants: Callable[[Event], bool], last: Event
    ) -> concurrent.futures.Future[None]:
        """Queues a rewrite: of all lines before it stay those wanted, and `last`.

        Where that fails (`summary` says so) the record stays as it is.
        """
        self._long_from = 2**63  # until it is done
        return self._queue(_Shortening(wants, record_file.line(last)))

    def summary(self) -> dict[str, Any]:
        """Numbers of the file."""
        failed = self.failed or self._not_shortened
        return {"bytes": self._size, "error": failed and str(failed)}

    def close(self) -> None:
        """Writes what is waiting; no event may follow."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()
        self._file.close()

    def _queue(self, what: _Line | _Shortening) -> concurrent.futures.Future[None]:
        with self._change:
            if self._closed:
                raise RuntimeError("the record is closed")
            self._waiting.append(what)
            self._change.notify()
        return what.done

    def _write(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if not self._waiting:
                    return
                taken = self._together()
            # Nobody may cancel what is about to be written.
            waited = [x.done for x in taken if x.done.set_running_or_notify_cancel()]
            try:
                if self.failed is not None:
                    pass
                elif isinstance(taken[0], _Shortening):
                    self._rewrite(taken[0])
                else:
                    self._put(b"".join(line.said for line in taken))
            except OSError as error:
                # What is behind a failed write may be half a line: nothing may follow.
                self.failed = error
            for done in waited:
                if self.failed is None:
                    done.set_result(None)
                else:
                    done.set_exception(self.failed)

    def _together(self) -> list[Any]:
        """What is written next: all lines before a shortening, or one shortening."""
        taken = [self._waiting.popleft()]
        if isinstance(taken[0], _Line):
            while self._waiting and isinstance(self._waiting[0], _Line):
                taken.append(self._waiting.popleft())
        return taken

    def _put(self, lines: bytes) -> None:
        left = memoryview(lines)
        while left:
            left = left[self._file.write(left) :]
        os.fsync(self._file.fileno())
        self._size += len(lines)

    def _rewrite(self, asked: _Shortening) -> None:
        try:
            file = record_file.shorten(
                self.path, asked.wants, asked.last, keep=self._keep
            )
        except Exception as error:  # the disk, or a line that nobody understands
            self._not_shortened, self._long_from = error, 2 * self._size
            return
        self._file.close()
        self._file, self._not_shortened = file, None
        self._size = file.tell()
        self._long_from = max(self._least, 2 * self._size)
        # Else a machine that stops may come back with the old name for the file.
        record_file.sync_folder(self.path)
