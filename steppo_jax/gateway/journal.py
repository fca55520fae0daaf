"""The append-only record of a gateway: nothing is acknowledged before it is on disk.

One JSON object a line. Lines that are waiting go to the disk together, with one fsync,
by a thread of their own, in the order they were appended. A process killed in the
middle leaves whole lines and at most one half line, which `Journal` cuts off.
"""

from __future__ import annotations

import collections
import concurrent.futures
import fcntl
import json
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

from steppo_jax.errors import Refused
from steppo_jax.records import BrokenRecords

Event = dict[str, Any]


class RecordInUse(Refused):
    """Two gateways want to write one record."""


def read(path: pathlib.Path) -> Iterator[Event]:
    """The events of a file, in order; a half last line is left out.

    Raises BrokenRecords, naming the line, for any other that is no object.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
            if not isinstance(event, dict):
                raise BrokenRecords(
                    f"{path}:{number}: not a JSON object; repair or delete the line"
                )
            yield event


def _cut(path: pathlib.Path) -> None:
    """Cuts off what stands behind the last newline."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        place = end
        while place > 0:
            size = min(place, 2**16)
            place -= size
            file.seek(place)
            found = file.read(size).rfind(b"\n")
            if found >= 0:
                place += found + 1
                break
        if place < end:
            file.truncate(place)
            os.fsync(file.fileno())


class Journal:
    """The file, open for appending. `failed` is why nothing can be written any more."""

    def __init__(self, path: pathlib.Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.failed = path, None
        self._file = path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise RecordInUse(
                f"{path} is written by another gateway; stop that one, or give another "
                "--workdir"
            ) from None
        _cut(path)
        self._waiting: collections.deque[tuple[bytes, concurrent.futures.Future]]
        self._waiting = collections.deque()
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def append(self, event: Event) -> concurrent.futures.Future[None]:
        """Queues an event; done once it is on disk, or with the disk's error."""
        said = json.dumps(event, allow_nan=False, separators=(",", ":")).encode()
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._change:
            if self._closed:
                raise RuntimeError("the record is closed")
            self._waiting.append((said + b"\n", done))
            self._change.notify()
        return done

    def close(self) -> None:
        """Writes what is waiting; no event may follow."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()
        self._file.close()

    def _write(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if not self._waiting:
                    return
                taken = list(self._waiting)
                self._waiting.clear()
            # Nobody may cancel what is about to be written.
            waited = [d for _, d in taken if d.set_running_or_notify_cancel()]
            try:
                if self.failed is None:
                    self._put(b"".join(line for line, _ in taken))
            except OSError as error:
                # What is behind a failed write may be half a line: nothing may follow.
                self.failed = error
            for done in waited:
                if self.failed is None:
                    done.set_result(None)
                else:
                    done.set_exception(self.failed)

    def _put(self, lines: bytes) -> None:
        left = memoryview(lines)
        while left:
            left = left[self._file.write(left) :]
        os.fsync(self._file.fileno())
