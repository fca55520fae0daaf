"""Walking over sequences in small slices, without touching the empty ones.

A minibatch is walked in slices that fit the cache (and the memory). The number
of *slices* follows the data; the number of optimizer updates never does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from steppo_jax import masked, placement

Carry = TypeVar("Carry")
Rows = TypeVar("Rows")


def wanted_first(wanted_S: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Indices of sequences, the wanted ones first in their order, and how many."""
    order_S = jnp.argsort(~wanted_S, stable=True).astype(jnp.int32)
    return order_S, wanted_S.sum()


def walk(
    body: Callable[[Carry, Rows, jax.Array], Carry],
    carry: Carry,
    rows: Rows,
    order_S: jax.Array,
    count: jax.Array,
    size: int,
) -> Carry:
    """Applies `body(carry, rows of a slice, real [size])` to the first `count` of
    order_S.

    `real` is False where the last slice is filled up with sequences that are not
    wanted: safe to read, never to be written or summed.

    Args:
      rows: tree of tables whose first axis is that of the sequences; the body gets
        the same tree with `size` of them.
    """
    read = _reader(rows, order_S, size)

    def unnumbered(carry, i, index, real):
        return body(carry, read(i, index), real)

    return numbered(unnumbered, carry, order_S, count, size)


def tables(
    run: Callable[[Rows, jax.Array], tuple[jax.Array, ...]],
    columns: int,
    rows: Rows,
    order_S: jax.Array,
    count: jax.Array,
    size: int,
) -> tuple[jax.Array, ...]:
    """`run(rows of a slice, real)` of the first `count` of order_S, put together.

    Each of its results is [size, columns] and becomes [S, columns], zero for all
    other sequences.
    """
    read, S = _reader(rows, order_S, size), jax.tree.leaves(rows)[0].shape[0]
    slices = -(-order_S.shape[0] // size)
    shapes = jax.eval_shape(
        lambda: run(read(0, order_S[:1].repeat(size)), jnp.zeros((size,), bool))
    )
    on_mesh = placement.pieces() > 1
    shape = (slices, size, columns) if on_mesh else (S, columns)
    zeros = tuple(jnp.zeros(shape, masked.real()) for _ in shapes)
    if on_mesh:  # each device writes its own part of a slice
        zeros = tuple(placement.spread(x, axis=1) for x in zeros)

    def body(found, i, index, real):
        more = run(read(i, index), real)
        if on_mesh:
            return tuple(x.at[i].set(y) for x, y in zip(found, more, strict=True))
        each = zip(found, more, strict=True)
        return tuple(write(x, index, real, y) for x, y in each)

    found = numbered(body, zeros, order_S, count, size)
    if not on_mesh:
        return found
    at = jnp.arange(order_S.shape[0])
    place_S = jnp.full((S,), at.size).at[order_S].set(at)
    there_S1 = (place_S < count)[:, None]
    flat = (x.reshape(-1, columns) for x in found)
    return tuple(placement.spread(masked.select(x[place_S], there_S1)) for x in flat)


def _reader(rows: Any, order_S: jax.Array, size: int) -> Callable[..., Any]:
    """`read(i, index)`: the sequences of slice i, which are those of `index`.

    On a mesh a table is sent around once, before the loop, and lies so that every
    device finds its part of each slice at home. Inside the loop the partitioner would
    gather the whole table for every slice.
    """
    if placement.pieces() == 1:
        return lambda _, index: jax.tree.map(lambda x: x[index], rows)
    S = order_S.shape[0]
    slices = -(-S // size)
    all_in_order = order_S[jnp.minimum(jnp.arange(slices * size), S - 1)]

    def cut(x):
        x = x[all_in_order].reshape(slices, size, *x.shape[1:])
        return placement.spread(x, axis=1)

    laid = jax.tree.map(cut, rows)
    return lambda i, _: jax.tree.map(lambda x: placement.spread(x[i]), laid)


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
