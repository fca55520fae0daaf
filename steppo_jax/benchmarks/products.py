"""The matrix products of a model alone: the rate that its own shapes allow.

Every product of one pass over M rows, each weight once, in the dtype of the model. No
program that computes the model can be faster than its products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from steppo_jax.models import linear


def matrices(params: Any) -> list[jax.Array]:
    """Every weight that tokens are multiplied with, [out, in], the head's last.

    A tied embedding is the head.
    """
    turned = linear.turn(params)["params"]
    found = [
        x
        for path, x in jax.tree_util.tree_leaves_with_path(turned["decoder"])
        if path[-1].key == "kernel"
    ]
    if "head" in turned:
        return [*found, turned["head"]["kernel"]]
    return [*found, turned["decoder"]["embedding"]["embedding"]]


def flops(weights: Iterable[jax.Array], rows: int, trained: bool = False) -> float:
    """Of the products over `rows` rows: 2 a weight, and 4 more for both gradients."""
    return (6.0 if trained else 2.0) * rows * sum(x.size for x in weights)


def forward(left: bool) -> Callable[..., jax.Array]:
    """f(weights [out, in], rows by width {in: [M, in]}) → a number that needs all.

    Args:
      left: the weights are the left operand where the rows are few.
    """

    def run(weights, rows):
        seen = jnp.float32(0)
        for kernel_FD in weights:
            x_MD = rows[kernel_FD.shape[1]]
            y_MF = linear.times(x_MD, kernel_FD) if left else x_MD @ kernel_FD.T
            seen = jnp.maximum(seen, _corner(y_MF))
        return seen

    return run


def trained(weights, rows) -> jax.Array:
    """The same with the two products that the gradients of each need."""
    seen = jnp.float32(0)
    for kernel_FD in weights:
        x_MD = rows[kernel_FD.shape[1]]
        y_MF = x_MD @ kernel_FD.T
        for out in (y_MF, y_MF @ kernel_FD, y_MF.T @ x_MD):
            seen = jnp.maximum(seen, _corner(out))
    return seen


def _corner(product: jax.Array) -> jax.Array:
    """One number of a product that is computed whole: the barrier hides how little of
    it is read. To read all would cost as much as a product of narrow layers."""
    return jax.lax.optimization_barrier(product)[0, 0].astype(jnp.float32)


def inputs(weights: Iterable[jax.Array], count: int) -> dict[int, jax.Array]:
    """`count` rows for every width that a weight reads."""
    widths = {x.shape[1]: x.dtype for x in weights}
    return {
        width: jax.random.normal(jax.random.key(width), (count, width), dtype)
        for width, dtype in widths.items()
    }
