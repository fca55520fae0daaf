"""Tasks of a panel: drawn from bits that never change, refused until they belong.

An environment says how bits become a task (`draw`) and which panel a task belongs
to (`belongs`); every task belongs to exactly one, so panels are disjoint.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing

PANEL_SIZE = 512
Draw = Callable[[jax.Array], Any]  # bits [num_bits] uint32 → task
Belongs = Callable[[Any], jax.Array]  # task → [] bool


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


@dataclasses.dataclass(frozen=True)
class Panels:
    """The panels of an environment."""

    names: tuple[str, ...]
    num_bits: int  # that a task is drawn from
    draw: Callable[[jax.Array, str], Any]  # bits [num_bits] uint32, panel → task
    belongs: Callable[[Any, str], jax.Array]  # task, panel → [] bool
    tries: int = 32  # as `frozen` has

    def sample(self, key: jax.Array, panel: str) -> Any:
        """A random task of `panel`; jittable. Consumes key."""
        return sample(key, self.num_bits, *self.rules(panel))

    def frozen(self, panel: str) -> Any:
        """The tasks of a panel, stacked on the first axis, no two alike."""
        return jax.tree.map(jnp.asarray, _frozen_once(self, panel))

    def rules(self, panel: str) -> tuple[Draw, Belongs]:
        """(draw, belongs) of one panel; ValueError for a name that is not one."""
        if panel not in self.names:
            raise ValueError(f"panel: {panel!r} is not one of {', '.join(self.names)}")
        return lambda b: self.draw(b, panel), lambda t: self.belongs(t, panel)


@functools.cache
def _frozen_once(panels: Panels, panel: str) -> Any:
    rules = panels.rules(panel)
    number = panels.names.index(panel)
    return frozen(number, panels.num_bits, *rules, panels.tries)
