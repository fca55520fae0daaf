"""Reductions over the True entries of a mask, safe where the mask is all False.

`mask` is boolean, True = keep. Sums are taken of `where(mask, x, 0)`, so a NaN
under a False entry never spreads. Nothing here divides by a local count alone:
callers that run on several devices pass `total`, which adds over devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Total = Callable[[jax.Array], jax.Array]  # adds an array over devices


def real() -> jnp.dtype:
    """float32, the numbers that logits, losses and advantages are made of; float64
    under `jax_enable_x64`, by which tests look below rounding.
    """
    return jax.dtypes.canonicalize_dtype(float)


def _here(x: jax.Array) -> jax.Array:
    return x


def select(x: jax.Array, mask: jax.Array) -> jax.Array:
    """x where mask, else 0."""
    return jnp.where(mask, x, jnp.zeros_like(x))


def divide(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """numerator / denominator, and 0 where the denominator is 0."""
    empty = denominator == 0
    return jnp.where(empty, 0, numerator / jnp.where(empty, 1, denominator))


def mean(x: jax.Array, mask: jax.Array, total: Total = _here) -> jax.Array:
    """Mean of x over mask; 0 if nothing is kept."""
    return divide(total(select(x, mask).sum()), total(mask.sum().astype(x.dtype)))


def moments(
    x: jax.Array, mask: jax.Array, ddof: int = 0, total: Total = _here
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of x over mask, Σ(x−μ)²/(n−ddof); variance 0 where n ≤ ddof."""
    count = total(mask.sum().astype(x.dtype))
    mu = divide(total(select(x, mask).sum()), count)
    squares = total(select((x - mu) ** 2, mask).sum())
    return mu, divide(squares, jnp.maximum(count - ddof, 0))


def whiten(
    x: jax.Array,
    mask: jax.Array,
    *,
    ddof: int = 0,
    eps: float = 1e-8,
    total: Total = _here,
) -> jax.Array:
    """(x − mean) / (std + eps) over mask, 0 elsewhere. One kept entry gives 0."""
    mu, var = moments(x, mask, ddof, total)
    return select((x - mu) / (jnp.sqrt(var) + eps), mask)


def segment_sum(x: jax.Array, segment: jax.Array, num_segments: int) -> jax.Array:
    """[num_segments] sums of x by segment id; ids below 0 are dropped."""
    drop = jnp.where(segment < 0, num_segments, segment).ravel()
    return jax.ops.segment_sum(x.ravel(), drop, num_segments + 1)[:num_segments]


def segment_mean(x: jax.Array, segment: jax.Array, num_segments: int) -> jax.Array:
    """[num_segments] means of x by segment id; 0 for a segment without entries."""
    ones = jnp.ones_like(x)
    return divide(
        segment_sum(x, segment, num_segments), segment_sum(ones, segment, num_segments)
    )


def take(table: jax.Array, index: jax.Array, fill: float = 0) -> jax.Array:
    """table[index] along the first axis, and `fill` where index < 0."""
    return jnp.where(index < 0, fill, table[jnp.maximum(index, 0)])


def number(keys: Sequence[jax.Array], valid: jax.Array) -> jax.Array:
    """[B] int32: rows with equal keys share a number, counted from 0; else -1.

    Turns ids of any size into segment ids below B, by one sort on the device.
    """
    order = jnp.lexsort((*reversed(keys), ~valid))
    run = jnp.cumsum(starts_run(tuple(key[order] for key in keys))) - 1
    rows = jnp.zeros_like(run).at[order].set(run, unique_indices=True)
    return jnp.where(valid, rows, -1)


def starts_run(keys: Sequence[jax.Array]) -> jax.Array:
    """[B] True where any of the sorted keys differs from its entry before."""
    change = jnp.stack([key[1:] != key[:-1] for key in keys]).any(0)
    return jnp.append(jnp.ones((1,), bool), change)
