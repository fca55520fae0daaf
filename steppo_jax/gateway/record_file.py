"""The record as a file: one writer, whole lines, and a shorter one in its place.

A shorter file is written beside the old one, locked and on disk before it takes the
name. Whoever is killed on the way leaves the old record as it was.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import pathlib
from collections.abc import Callable, Iterator
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


def line(event: Event) -> bytes:
    """An event as it stands in the file."""
    return json.dumps(event, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def locked(path: pathlib.Path) -> io.FileIO:
    """The file, locked, and still the one of that name. Raises RecordInUse."""
    while True:
        file = io.FileIO(path, "ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise RecordInUse(
                f"{path} is written by another gateway; stop that one, or give another "
                "--workdir"
            ) from None
        if os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        file.close()  # it was replaced while we waited


def cut_half_line(path: pathlib.Path) -> None:
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


def shorten(
    path: pathlib.Path, wants: Callable[[Event], bool], last: bytes, *, keep: bool
) -> io.FileIO:
    """Replaces a file by the lines that are wanted and `last`, on disk; its lock too.

    Args:
      keep: the old file stays under another name.

    Raises OSError, and then the old file is as it was.
    """
    place = path.with_name(f"{path.name}.new")
    place.unlink(missing_ok=True)  # of one who was killed
    raw = io.FileIO(place, "x")
    try:
        fcntl.flock(raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lines = io.BufferedWriter(raw, 2**20)
        with path.open("rb") as old:
            lines.writelines(line for line in old if wants(json.loads(line)))
        lines.write(last)
        lines.detach()  # writes what it holds
        os.fsync(raw.fileno())
        if keep:
            _keep(path)
        os.replace(place, path)
    except BaseException:
        raw.close()
        place.unlink(missing_ok=True)
        raise
    return raw


def _keep(path: pathlib.Path) -> None:
    """Keeps a file that is about to be replaced, under the next free number.

    One that was kept before and not replaced then, by a kill, is the same file: it has
    its name already.
    """
    number = 1
    while (kept := path.with_name(f"{path.stem}-{number:06}{path.suffix}")).exists():
        if kept.samefile(path):
            return
        number += 1
    os.link(path, kept)


def sync_folder(path: pathlib.Path) -> None:
    """Puts the names in a file's folder on disk."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
