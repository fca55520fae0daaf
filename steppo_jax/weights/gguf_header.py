"""The header of a GGUF file, walked before its reader is let loose on it.

The reader takes counts and lengths as they stand in the file: a file of a few bytes
can ask it for 2⁶⁴ list entries. Here every length must fit into what is left of the
file, so the work is bounded by the file's size. Layout: github.com/ggml-org/ggml,
docs/gguf.md; only what can be walked without its meaning is checked.
"""

from __future__ import annotations

import math
import mmap
import pathlib
import struct

from steppo_jax.models.families import ModelError

MAGIC, VERSIONS = b"GGUF", (2, 3)
# Number of a value type → its bytes; strings and arrays have lengths of their own.
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
MOST_DIMENSIONS = 4
MOST_ELEMENTS = 2**40


class _Walk:
    """A place in a file that never leaves it."""

    def __init__(self, data: mmap.mmap):
        self.data, self.at = data, 0

    def skip(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise ValueError(f"it ends inside what byte {start} announces")
        return start

    def number(self, form: str) -> int:
        size = struct.calcsize(form)
        return struct.unpack_from(f"<{form}", self.data, self.skip(size))[0]

    def text(self) -> str:
        size = self.number("Q")
        start = self.skip(size)
        return self.data[start : start + size].decode("utf-8")

    def count(self, smallest: int) -> int:
        """A number of things of at least so many bytes each."""
        found = self.number("Q")
        if found * smallest > len(self.data) - self.at:
            raise ValueError(f"{found} entries do not fit into the file")
        return found

    def value(self, kind: int) -> None:
        if kind in SCALARS:
            self.skip(SCALARS[kind])
        elif kind == STRING:
            self.text()
        elif kind == ARRAY:
            self.array()
        else:
            raise ValueError(f"value type {kind} is unknown")

    def array(self) -> None:
        kind = self.number("I")
        if kind in SCALARS:
            self.skip(self.count(SCALARS[kind]) * SCALARS[kind])
        elif kind == STRING:
            for _ in range(self.count(8)):
                self.text()
        else:
            raise ValueError(f"lists of value type {kind} are not read")

    def tensor(self) -> None:
        self.text()
        dimensions = self.number("I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        sizes = [self.number("Q") for _ in range(dimensions)]
        if not 0 < math.prod(sizes) <= MOST_ELEMENTS:
            raise ValueError(f"a tensor of size {sizes}")
        self.number("I")
        if self.number("Q") > len(self.data):
            raise ValueError("a tensor beyond the end")


def check(path: pathlib.Path) -> None:
    """Raises ModelError unless the header can be walked to its end."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            _header(_Walk(data))
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; give a .gguf file") from None
    except (ValueError, OSError) as error:
        raise ModelError(
            f"{path} is no readable GGUF file: {error}; fetch it again"
        ) from None


def _header(walk: _Walk) -> None:
    if walk.data[walk.skip(4) : 4] != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version = walk.number("I")
    if version not in VERSIONS:
        raise ValueError(f"version {version} is not one of {VERSIONS}")
    tensors = walk.number("Q")
    for _ in range(walk.count(13)):
        walk.text()
        walk.value(walk.number("I"))
    if tensors * 32 > len(walk.data) - walk.at:
        raise ValueError(f"{tensors} tensors do not fit into the file")
    for _ in range(tensors):
        walk.tensor()
