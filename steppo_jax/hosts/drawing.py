"""Draws from names: the same for everyone, whatever Python's generators do.

A draw is SHA-256 of the words that name it, so frozen panels cannot move.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def number(*name: object) -> int:
    """64 bits that depend on the name's words and their order only."""
    text = "\x1f".join(map(str, name))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def pick(among: Sequence[T], *name: object) -> T:
    """One of them."""
    return among[number(*name) % len(among)]


def fraction(*name: object) -> float:
    """In [0, 1)."""
    return (number(*name) >> 11) / (1 << 53)


def shuffled(among: Sequence[T], *name: object) -> list[T]:
    """All of them, in an order of the name's."""
    order = sorted(range(len(among)), key=lambda i: number(*name, i))
    return [among[i] for i in order]


def some(among: Sequence[T], count: int, *name: object) -> list[T]:
    """`count` of them, none twice, in their own order."""
    chosen = sorted(shuffled(range(len(among)), *name)[:count])
    return [among[i] for i in chosen]
