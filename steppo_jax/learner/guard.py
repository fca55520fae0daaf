"""A step whose loss or gradient is not finite is not taken.

Decided inside the compiled update, on numbers that are the same on every device. The
norm of a gradient is finite if and only if all of it is (or its square overflows, and
a step of that size is no step to take either), so nothing is computed twice.
"""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp

from steppo_jax.objective import LossSums

Tree = TypeVar("Tree")


def finite(sums: LossSums, norm: jax.Array) -> jax.Array:
    """Whether loss and gradient are finite; of every optimizer step where stacked."""
    return jnp.isfinite(sums.loss) & jnp.isfinite(norm)


def kept(takes: jax.Array, new: Tree, old: Tree) -> Tree:
    """`new` if the step is taken, `old` bit for bit if it is not.

    A branch, not a choice entry by entry: that would be fused with the arithmetic of
    the step and round it otherwise than without a guard.
    """
    return jax.lax.cond(takes, lambda a, b: a, lambda a, b: b, new, old)


def unless_warming(learns: jax.Array, new: Tree, old: Tree) -> Tree:
    """`new`, but `old` while only the critic learns."""
    return jax.tree.map(lambda a, b: jnp.where(learns, a, b), new, old)
