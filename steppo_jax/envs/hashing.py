"""Integer hashes that never change: panels, splits and anchor states rest on them.

They use no random generator, so a new version of JAX cannot move a frozen task.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def mix(x: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """[...] uint32 → [...] uint32, a bijection that scatters neighbours.

    A NumPy array stays one: tables made at import touch no device. The
    constants are those of Chris Wellons' `lowbias32`.
    """
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def fold(values: jax.Array) -> jax.Array:
    """[] uint32 hash of an integer vector [K]; the order of the values counts."""
    salt = mix(jnp.arange(1, values.shape[0] + 1, dtype=jnp.uint32))
    return mix(jnp.sum(mix(values.astype(jnp.uint32) + salt), dtype=jnp.uint32))
