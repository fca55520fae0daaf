"""Something read off hidden states at wanted places, a few places at a time.

Prompts are most of a batch of language and no loss reads a logit there, so logits are
made at the wanted places alone: these are gathered to the front, and as many slices
are walked as they fill. A loop whose length follows the data has no automatic
gradient, so it is said here: slice by slice again, with what the forward pass made
kept where that is small, made again where it is large.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from steppo_jax.learner import microbatch

# Numbers of a table of logits [places, V] that may exist at once: 64 MiB.
LOGITS_AT_ONCE = 2**24
# And that a forward pass may keep for its backward pass: 256 MiB.
LOGITS_KEPT = 2**26


def slices(places: int, words: int) -> int:
    """Places of each slice: slices of one size, each of at most LOGITS_AT_ONCE."""
    count = -(-places // max(LOGITS_AT_ONCE // words, 1))
    return -(-places // count)


def at_wanted(
    logits: Callable[[jax.Array], jax.Array],
    read: Callable[[jax.Array, jax.Array], tuple[jax.Array, ...]],
    x_PD: jax.Array,
    token_P: jax.Array,
    wanted_P: jax.Array,
    words: int,
) -> tuple[jax.Array, ...]:
    """`read(logits(x), token)` at the wanted places, each [P]; 0 at the others.

    Differentiable in x and in what `logits` closes over.

    Args:
      logits: [n, D] → [n, V].
      read: ([n, V], [n]) → float32 numbers, each [n].
      words: V.
    """
    P, D = x_PD.shape
    size = slices(P, words)
    example = jnp.zeros((size, D), x_PD.dtype)
    pure, weights = jax.closure_convert(logits, example)
    keep = P * words <= LOGITS_KEPT
    return _walk(
        pure, read, (size, words, keep), tuple(weights), x_PD, token_P, wanted_P
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _walk(logits, read, sizes, weights, x_PD, token_P, wanted_P):
    size, words, _ = sizes  # nothing is kept: there is no backward pass
    found, _ = _forward(
        logits, read, (size, words, False), weights, x_PD, token_P, wanted_P
    )
    return found


def _forward(logits, read, sizes, weights, x_PD, token_P, wanted_P):
    """The numbers, and all that the backward pass needs."""
    size, words, keep = sizes
    P = x_PD.shape[0]
    order_P, count = microbatch.wanted_first(wanted_P)
    shaped = jax.eval_shape(lambda x: logits(x, *weights), x_PD[:size])
    outs = jax.eval_shape(read, shaped, token_P[:size])
    kept = jnp.zeros((-(-P // size), size, words), shaped.dtype) if keep else None

    def body(carry, i, index, real):
        tables, kept = carry
        made = logits(x_PD[index], *weights)
        found = read(made, token_P[index])
        tables = tuple(
            microbatch.write(table, index, real, x) for table, x in zip(tables, found)
        )
        return tables, (kept if kept is None else kept.at[i].set(made))

    zeros = tuple(jnp.zeros((P,), out.dtype) for out in outs)
    tables, kept = microbatch.numbered(body, (zeros, kept), order_P, count, size)
    return tables, (weights, x_PD, token_P, order_P, count, kept)


def _backward(logits, read, sizes, residuals, cotangents):
    weights, x_PD, token_P, order_P, count, kept = residuals
    size = sizes[0]

    def body(carry, i, index, real):
        summed, dx_PD = carry
        x, token = x_PD[index], token_P[index]
        given = tuple(jnp.where(real, g[index], 0) for g in cotangents)
        made = logits(x, *weights) if kept is None else kept[i]
        (d_made,) = jax.vjp(lambda made: read(made, token), made)[1](given)
        _, back = jax.vjp(logits, x, *weights)
        dx, *more = back(d_made)
        summed = tuple(map(jnp.add, summed, more))
        return summed, microbatch.write(dx_PD, index, real, dx)

    zero = tuple(map(jnp.zeros_like, weights)), jnp.zeros_like(x_PD)
    summed, dx_PD = microbatch.numbered(body, zero, order_P, count, size)
    return summed, dx_PD, None, None


_walk.defvjp(_forward, _backward)
