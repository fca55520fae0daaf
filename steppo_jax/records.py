"""JSON-lines files: one object per line, appended and flushed, exact to read back.

Floats are written with repr, so they come back bit for bit. JSON has no NaN or
infinity: they are written as the strings "nan", "inf" and "-inf", and `read`
turns exactly these back into floats.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np

from steppo_jax.errors import Refused

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

Record = dict[str, Any]


class BrokenRecords(Refused):
    """A line that is not a JSON object, and not merely an unfinished last line."""


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numbers, strings, lists and objects.

    0-d arrays become numbers, arrays lists. float32 is written with the float64
    value it stands for. Raises TypeError for anything else.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            array = array.astype(np.float64)  # bfloat16 and other small floats
        return plain(array.tolist())
    raise TypeError(f"{type(value).__name__} {value!r} does not belong in a record")


def dumps(value: Any, indent: int | None = None) -> str:
    """Valid JSON text of anything `plain` accepts."""
    return json.dumps(plain(value), allow_nan=False, ensure_ascii=False, indent=indent)


def loads(text: str) -> Any:
    """Reads what `dumps` wrote. ValueError for half characters, which no file holds."""
    return _finite(json.loads(text))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {_whole(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return NOT_FINITE.get(value, _whole(value)) if isinstance(value, str) else value


def _whole(text: str) -> str:
    """The text; UnicodeEncodeError where JSON's escapes hide half a character in it."""
    if not text.isascii():
        text.encode()
    return text


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Replaces `path` by `text`: a reader sees the old file or the new one, whole."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise


def read(path: pathlib.Path) -> list[Record]:
    """The objects of a file, [] if there is none.

    An unfinished last line (a write that was killed) is left out. Raises
    BrokenRecords, naming file and line, for any other line that is no object.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)  # what stands behind the last newline
        try:
            record = loads(line) if line or not last else None
        except (ValueError, RecursionError):
            record = None
        if last and not isinstance(record, dict):
            break
        if not isinstance(record, dict):
            raise BrokenRecords(
                f"{path}:{number}: not a JSON object: {line[:60]!r}; "
                "repair or delete the line"
            )
        found.append(record)
    return found


def numbered(path: pathlib.Path) -> list[Record]:
    """`read` for files of a run: every object has "iteration", a whole number ≥ 0.

    Raises BrokenRecords, naming the object, where one has not.
    """
    found = read(path)
    for place, record in enumerate(found, start=1):
        iteration = record.get("iteration")
        if type(iteration) is not int or not 0 <= iteration < 2**31:
            raise BrokenRecords(
                f"{path}: object {place} has iteration={repr(iteration)[:40]}, not a "
                "whole number; repair or delete the line"
            )
    return found


def number(value: Any) -> bool:
    """Whether a value from a file is a number that float64 holds, NaN included."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and not (isinstance(value, int) and abs(value) > 2**63)


def _rewrite(path: pathlib.Path, records: list[Record]) -> None:
    write_atomically(path, "".join(dumps(record) + "\n" for record in records))


class Records:
    """A JSON-lines file open for appending."""

    def __init__(self, path: pathlib.Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            _rewrite(path, read(path))  # a write was killed: drop the half line
        self._file = path.open("a", encoding="utf-8")

    def append(self, record: Mapping[str, Any]) -> None:
        """Writes one line and hands it to the operating system."""
        self._file.write(dumps(record) + "\n")
        self._file.flush()

    def truncate(self, from_iteration: int) -> int:
        """Keeps the lines with "iteration" below `from_iteration`; returns how many.

        Raises BrokenRecords for a line without that field. An unfinished last line
        goes too. The file is replaced in one step, so a kill leaves either the old one
        or the new one.
        """
        self._file.close()
        kept = [r for r in numbered(self.path) if r["iteration"] < from_iteration]
        _rewrite(self.path, kept)
        self._file = self.path.open("a", encoding="utf-8")
        return len(kept)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Records:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
