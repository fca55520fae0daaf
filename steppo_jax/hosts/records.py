"""Reading the files of a data folder: bounded, contained, refused by line.

Nothing in a file is more than data: a name that would leave its folder, a file larger
than its bound and a record of another form are each one line that says where.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from steppo_jax.errors import Refused
from steppo_jax.hosts import json_list

MOST_BYTES = 8 << 30  # of one file
MOST_LINE = 16 << 20  # bytes of a line of a .jsonl file
Record = dict[str, Any]


def folder_of(setting: str, value: str, variable: str) -> pathlib.Path | None:
    """The data folder that a setting or, where it is empty, a variable names.

    None for "generated", and where neither names one. Raises Refused if it is no
    folder.
    """
    named = value or os.environ.get(variable, "")
    if named in ("", "generated"):
        return None
    folder = pathlib.Path(named).expanduser()
    if not folder.is_dir():
        source = f"{setting}={value}" if value else f"${variable}={named}"
        raise Refused(
            f"{source} is no folder; give the folder of the official files "
            "(scripts/prepare_data.sh says where they come from), or "
            f"{setting}=generated"
        )
    return folder


def inside(folder: pathlib.Path, name: str) -> pathlib.Path:
    """`folder / name`, refused where that is not under the folder, links followed."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Refused(f"{name!r} leaves its folder {folder}; give a file inside it")
    return path


def first(folder: pathlib.Path, *names: str) -> pathlib.Path | None:
    """The first of these files that the folder has, or None."""
    paths = (inside(folder, name) for name in names)
    return next((path for path in paths if path.is_file()), None)


def needed(folder: pathlib.Path, *names: str) -> pathlib.Path:
    """The same; Refused if it has none of them."""
    path = first(folder, *names)
    if path is None:
        raise Refused(
            f"{folder} has no {' or '.join(names)}; scripts/prepare_data.sh says "
            "where the official files come from"
        )
    return path


def read(path: pathlib.Path) -> Iterator[tuple[str, Record]]:
    """(where, record) of a .json list, a .jsonl or a .parquet file, in order.

    `where` names file and line, or place in the list, for messages.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise Refused(f"{path} has {size} bytes, more than {MOST_BYTES}; split it")
    readers = {".json": json_list.read, ".jsonl": _lines, ".parquet": _parquet}
    if path.suffix not in readers:
        raise Refused(f"{path}: needs to be one of {', '.join(readers)}")
    for where, record in readers[path.suffix](path):
        if not isinstance(record, dict):
            raise Refused(f"{where}: needs an object, not {type(record).__name__}")
        yield where, record


def _load(text: str | bytes, where: str) -> Any:
    try:
        return json_list.whole_characters(json.loads(text), text)
    except RecursionError:
        raise Refused(f"{where}: nested too deeply") from None
    except ValueError as error:  # of the syntax, and of bytes that are no UTF-8
        raise Refused(f"{where}: no JSON ({error})".replace("\n", " ")) from None


def json_object(path: pathlib.Path) -> Record:
    """A .json file that is one object."""
    if path.stat().st_size > MOST_BYTES:
        raise Refused(f"{path} has more than {MOST_BYTES} bytes; split it")
    value = _load(path.read_bytes(), str(path))
    if not isinstance(value, dict):
        raise Refused(f"{path}: needs an object, not {type(value).__name__}")
    return value


def _lines(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE + 1):
            number += 1
            where = f"{path} line {number}"
            if len(line) > MOST_LINE:
                raise Refused(f"{where}: longer than {MOST_LINE} bytes")
            if line.strip():
                yield where, _load(line, where)


def _parquet(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    need_package("pyarrow", str(path))
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            row = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    yield f"{path} row {row}", record
                    row += 1
    except (ArrowException, OSError) as error:
        says = str(error).splitlines()[0]
        raise Refused(f"{path}: no readable parquet file ({says})") from None


def need_package(name: str, what: str) -> None:
    """Raises Refused, with the command that installs it, if a package is missing."""
    if importlib.util.find_spec(name) is None:
        package = name.replace("_", "-")
        raise Refused(f"{what} needs the package {package}: pip install {package}")


def text(record: Record, name: str, where: str) -> str:
    """A field that must be text and say something."""
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{where}: {name!r} must be a text, not {value!r:.60}")
    return value


def texts(record: Record, name: str, where: str) -> list[str]:
    """A field that must be a list of texts; empty where it is absent or null."""
    value = record.get(name) or []
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise Refused(f"{where}: {name!r} must be a list of texts, not {value!r:.60}")
    return value
