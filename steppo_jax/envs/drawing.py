"""Tasks of a panel: drawn from bits that never change, refused until they belong.

An environment says how bits become a task (`draw`) and which panel a task belongs
to (`belongs`); every task belongs to exactly one, so panels are disjoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing

PANEL_SIZE = 512
Draw = Callable[[jax.Array], Any]  # bits [num_bits] uint32 → task
Belongs = Callable[[Any], jax.Array]  # task → [] bool


def check_name(panel: str, panels: tuple[str, ...]) -> None:
    """ValueError unless `panel` is one of `panels`."""
    if panel not in panels:
        raise ValueError(f"panel: {panel!r} is not one of {', '.join(panels)}")


def pick(bits: jax.Array, number: int) -> jax.Array:
    """int32 in [0, number) from uint32 bits; the remainder's bias is below 1e-6."""
    return (bits % np.uint32(number)).astype(jnp.int32)


def sample(key: jax.Array, num_bits: int, draw: Draw, belongs: Belongs) -> Any:
    """A random task that belongs; jittable. Consumes key."""

    def drawn(key):
        key, bits_key = jax.random.split(key)
        return key, draw(jax.random.bits(bits_key, (num_bits,), jnp.uint32))

    def refused(carry):
        return ~belongs(carry[1])

    return jax.lax.while_loop(refused, lambda carry: drawn(carry[0]), drawn(key))[1]


def frozen(
    number: int, num_bits: int, draw: Draw, belongs: Belongs, tries: int = 32
) -> Any:
    """`PANEL_SIZE` tasks as NumPy arrays, no two alike, in the order hashes come.

    Args:
      number: of the panel among its environment's; panels draw from disjoint runs
        of a counter.
      tries: drawn per task that is kept; raise it where few belong.
    """
    with jax.ensure_compile_time_eval():
        counter = jnp.arange(tries * PANEL_SIZE * num_bits, dtype=jnp.uint32)
        bits = hashing.mix((number << 24) + counter).reshape(-1, num_bits)
        tasks = jax.jit(jax.vmap(draw))(bits)
        kept = np.asarray(jax.jit(jax.vmap(belongs))(tasks))
    tasks = jax.tree.map(lambda x: np.asarray(x)[kept], tasks)
    rows = np.concatenate(
        [x.reshape(len(x), -1) for x in jax.tree.leaves(tasks)], axis=1
    )
    first_of_each = np.unique(rows, axis=0, return_index=True)[1]
    chosen = np.sort(first_of_each)[:PANEL_SIZE]
    if len(chosen) < PANEL_SIZE:
        raise ValueError(f"panel {number}: only {len(chosen)} tasks; raise tries")
    return jax.tree.map(lambda x: x[chosen], tasks)
