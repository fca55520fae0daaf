"""What a loss returns: sums and their counts, so that any split adds up exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax.parallel import Axis


@struct.dataclass
class LossSums:
    """A loss of a part of a minibatch. Differentiate `loss`; divide by `count`
    only after `merge` over micro-batches and `over_devices`.
    """

    loss: jax.Array  # [] Σ weight · loss
    count: jax.Array  # [] Σ count
    diagnostics: dict[str, tuple[jax.Array, jax.Array]]  # name → (sum, count)
    maxima: dict[str, jax.Array]  # name → largest value ≥ 0, 0 if there is none


def merge(a: LossSums, b: LossSums) -> LossSums:
    """The sums of two parts together."""
    rest_a, rest_b = (x.replace(maxima={}) for x in (a, b))
    added = jax.tree.map(jnp.add, rest_a, rest_b)
    return added.replace(maxima=jax.tree.map(jnp.maximum, a.maxima, b.maxima))


def over_devices(sums: LossSums, axis: Axis) -> LossSums:
    """The sums of all devices together."""
    added = axis.sum(sums.replace(maxima={}))
    return added.replace(maxima=axis.max(sums.maxima))
