"""Walking over sequences in small slices, without touching the empty ones.

A minibatch is walked in slices that fit the cache (and the memory). The number
of *slices* follows the data; the number of optimizer updates never does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

Carry = TypeVar("Carry")


def wanted_first(wanted_S: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Indices of sequences, the wanted ones first in their order, and how many."""
    order_S = jnp.argsort(~wanted_S, stable=True).astype(jnp.int32)
    return order_S, wanted_S.sum()


def walk(
    body: Callable[[Carry, jax.Array, jax.Array], Carry],
    carry: Carry,
    order_S: jax.Array,
    count: jax.Array,
    size: int,
) -> Carry:
    """Applies `body(carry, index [size], real [size])` to the first `count` of order_S.

    `real` is False where the last slice is filled up with sequences that are not
    wanted: safe to read, never to be written or summed.
    """

    def unnumbered(carry, _, index, real):
        return body(carry, index, real)

    return numbered(unnumbered, carry, order_S, count, size)


def numbered(
    body: Callable[[Carry, jax.Array, jax.Array, jax.Array], Carry],
    carry: Carry,
    order_S: jax.Array,
    count: jax.Array,
    size: int,
) -> Carry:
    """`walk` for a body that is also told the number of its slice, as second."""
    S = order_S.shape[0]
    place = jnp.arange(size)

    def slice_(i, carry):
        at = i * size + place
        return body(carry, i, order_S[jnp.minimum(at, S - 1)], at < count)

    return jax.lax.fori_loop(0, (count + size - 1) // size, slice_, carry)


def write(table: jax.Array, index: jax.Array, real: jax.Array, rows: jax.Array):
    """The table with rows written at the real indices."""
    to = jnp.where(real, index, table.shape[0])
    return table.at[to].set(rows, mode="drop")
