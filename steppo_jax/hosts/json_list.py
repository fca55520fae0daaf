"""The elements of a JSON list, of which one at a time is in memory.

Files of gigabytes are one list; `json` would hold all of it at once.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any, TextIO

from steppo_jax.errors import Refused

CHUNK = 1 << 20  # characters read at once
MOST_ELEMENT = 16 << 20  # characters of one element
_BLANKS = re.compile(r"[ \t\n\r]*")


def whole_characters(value: Any, text: str | bytes) -> Any:
    """`value`, which was read from `text`. Raises ValueError where a string of it has
    half a character (a lone surrogate): JSON can name one, no tokenizer takes it."""
    mark = "\\ud" if isinstance(text, str) else b"\\ud"
    if mark in text.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("half a character in a text") from None
    return value


class _Reader:
    """A text that is read as far as it is needed; `at` is the next character."""

    def __init__(self, file: TextIO):
        self.file, self.text, self.at = file, "", 0

    def more(self) -> bool:
        """Reads on, twice as far each time; False at the end of the file."""
        rest = self.text[self.at :]
        chunk = self.file.read(max(CHUNK, len(rest)))
        self.text, self.at = rest + chunk, 0
        return bool(chunk)

    def skip(self, mark: str = "") -> bool:
        """Past blanks, and past `mark` if that comes next."""
        while True:
            self.at = _BLANKS.match(self.text, self.at).end()
            if self.at < len(self.text) or not self.more():
                break
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) * found
        return found

    def value(self) -> Any:
        """The value that comes next. Raises ValueError, RecursionError."""
        self.skip()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, self.at)
                # A number may go on in what is not yet read.
                if end < len(self.text) or not self.more():
                    text = self.text[self.at : end]
                    self.at = min(end, len(self.text))
                    return whole_characters(value, text)
            except json.JSONDecodeError:
                if len(self.text) - self.at > MOST_ELEMENT or not self.more():
                    raise


def read(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """(where, element). Raises Refused for what is no list, or is damaged."""
    where = str(path)
    with path.open(encoding="utf-8-sig") as file:
        reader = _Reader(file)
        try:
            if not reader.skip("["):
                raise Refused(f"{path}: needs a list of objects")
            place, over = 0, reader.skip("]")
            while not over:
                where = f"{path} record {place}"
                yield where, reader.value()
                place += 1
                if not reader.skip(","):
                    over = reader.skip("]")
                    if not over:
                        raise Refused(f"{where}: no JSON (needs ',' or ']' after it)")
            reader.skip()
            if reader.at < len(reader.text):
                raise Refused(f"{path}: no JSON (something stands after the list)")
        except RecursionError:
            raise Refused(f"{where}: nested too deeply") from None
        except Refused:
            raise
        except ValueError as error:  # of the syntax, and of bytes that are no UTF-8
            says = str(error).split(":")[0]
            raise Refused(f"{where}: no JSON ({says})") from None
