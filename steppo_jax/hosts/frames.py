"""Messages between a run and its workers: a length of four bytes, then JSON.

JSON and nothing else: what an environment says can be no object that runs code. NaN and
infinity are not JSON and are refused, so that no reward can be one.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

HEAD = struct.Struct(">I")
LONGEST = 2**24  # bytes; longer ones are no message of ours


class Rubbish(ValueError):
    """Bytes that are no message."""


def pack(message: dict[str, Any]) -> bytes:
    """The bytes of a message. ValueError for what JSON cannot hold."""
    body = json.dumps(message, allow_nan=False).encode()
    if len(body) > LONGEST:
        raise ValueError(f"a message of {len(body)} bytes exceeds {LONGEST}")
    return HEAD.pack(len(body)) + body


def unpack(buffer: bytearray) -> dict[str, Any] | None:
    """Takes the first whole message off the buffer; None while there is none.

    Raises Rubbish for a length or a text that no message has.
    """
    if len(buffer) < HEAD.size:
        return None
    (length,) = HEAD.unpack_from(buffer)
    if length > LONGEST:
        raise Rubbish(f"a message of {length} bytes")
    if len(buffer) < HEAD.size + length:
        return None
    body = bytes(buffer[HEAD.size : HEAD.size + length])
    del buffer[: HEAD.size + length]
    try:
        message = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Rubbish(f"no JSON: {error}") from None
    if not isinstance(message, dict):
        raise Rubbish("no JSON object")
    return message


def read(file: BinaryIO) -> dict[str, Any] | None:
    """The next message of a blocking file; None at its end."""
    buffer = bytearray(file.read(HEAD.size))
    if len(buffer) < HEAD.size:
        return None
    buffer += file.read(HEAD.unpack_from(buffer)[0])
    return unpack(buffer)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a finite number")
