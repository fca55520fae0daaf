"""Files with something wrong in them: bytes changed, cut, doubled, numbers blown up."""

from __future__ import annotations

import hashlib
import json
import pathlib
import struct

from hypothesis import strategies as st

NUMBERS = (0, 1, 255, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from((-1, 0, 1, 2, 3, 10**6, 2**31, 2**63, 10**30)),
    st.floats(),
    st.sampled_from(("", "x", "../../outside", "/etc/passwd", "\0", "nan", "\ud800")),
    st.lists(st.integers(-2, 2), max_size=2),
    st.dictionaries(st.sampled_from(("a", "iteration")), st.integers(), max_size=2),
)


@st.composite
def of_bytes(draw, data: bytes) -> bytes:
    """`data` after one to four accidents."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(out) - 1, 0)))
        how = draw(st.sampled_from(("flip", "cut", "drop", "double", "number", "put")))
        if how == "flip" and out:
            out[at] ^= draw(st.integers(1, 255))
        elif how == "cut":
            del out[at:]
        elif how == "drop":
            del out[at : at + draw(st.integers(1, 64))]
        elif how == "double":
            out[at:at] = out[at : at + draw(st.integers(1, 64))]
        elif how == "number":
            packed = struct.pack("<Q", draw(st.sampled_from(NUMBERS)))
            size = draw(st.sampled_from((1, 4, 8)))
            out[at : at + size] = packed[:size]
        else:
            out[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(out)


@st.composite
def of_json(draw, document: dict | list) -> bytes:
    """A JSON value with one to three values somewhere in it replaced or removed."""
    out = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        node = out
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            deeper = isinstance(node[key], dict | list) and node[key]
            if deeper and draw(st.integers(0, 3)):
                node = node[key]
                continue
            if isinstance(node, dict) and draw(st.integers(0, 3)) == 0:
                del node[key]
            else:
                node[key] = draw(VALUES)
            break
    return json.dumps(out).encode()


def of_either(document: dict):
    return st.one_of(of_json(document), of_bytes(json.dumps(document).encode()))


def listing(folder: pathlib.Path) -> dict[str, str]:
    """Every file below `folder` with a hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
