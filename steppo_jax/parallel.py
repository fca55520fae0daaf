"""The data axis: one program body for one device or many.

A body is written once against `Axis`. On one device its methods are
identities; under `pmap` they are collectives over the named axis. Sums and
counts are added over devices and divided once, so the number of devices cannot
change the answer.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True)
class Axis:
    """Collectives over the devices that share a batch; `name=None` means one device."""

    name: str | None = None
    size: int = 1

    def sum(self, tree: Tree) -> Tree:
        """Adds every leaf over devices."""
        return tree if self.name is None else jax.lax.psum(tree, self.name)

    def max(self, tree: Tree) -> Tree:
        """Largest value of every leaf over devices."""
        return tree if self.name is None else jax.lax.pmax(tree, self.name)

    def gather(self, tree: Tree) -> Tree:
        """Concatenates the first axis of every leaf, in device order."""
        if self.name is None:
            return tree
        return jax.lax.all_gather(tree, self.name, tiled=True)

    def index(self) -> jax.Array:
        """Which device this is, from 0."""
        if self.name is None:
            return jnp.int32(0)
        return jax.lax.axis_index(self.name)


ONE = Axis()
AXIS = "data"


@dataclasses.dataclass(frozen=True)
class Devices:
    """Runs bodies `f(axis, replicated…, sharded…)` on a list of devices.

    One device is `jit`; more are `pmap`, where every argument carries a leading
    device axis (see `replicate` and `split`).
    """

    devices: tuple[Any, ...]

    @classmethod
    def local(cls, count: int = 0) -> Devices:
        """The first `count` local devices, or all of them for 0."""
        here: Sequence[Any] = jax.local_devices()
        if count > len(here):
            raise ValueError(
                f"devices={count}: only {len(here)} local {here[0].platform} devices; "
                "lower it, or set devices=0 for all"
            )
        return cls(tuple(here[: count or len(here)]))

    @property
    def count(self) -> int:
        return len(self.devices)

    @property
    def here(self) -> tuple[Any, ...]:
        """Devices of this process."""
        return self.devices

    @property
    def numbered(self) -> int:
        """Pieces that each number their sequences from 0: one a device."""
        return self.count

    def compile(self, body: Callable[..., Any], donate: Sequence[int] = ()) -> Any:
        """Compiles `body(axis, *args)`; `donate` counts the arguments after `axis`."""
        if self.count == 1:
            return jax.jit(lambda *args: body(ONE, *args), donate_argnums=donate)
        axis = Axis(AXIS, self.count)
        return jax.pmap(
            lambda *args: body(axis, *args),
            axis_name=axis.name,
            devices=self.devices,
            donate_argnums=donate,
        )

    def replicate(self, tree: Tree) -> Tree:
        """The same values on every device, copied: they can be donated."""
        if self.count == 1:
            return jax.device_put(tree, self.devices[0], may_alias=False)
        return self._copies(jnp.arange(self.count), tree)

    @functools.cached_property
    def _copies(self) -> Any:
        """Under the axis name of `compile`: another name is another layout to jax,
        and every program would be compiled once more for it.
        """
        return jax.pmap(
            lambda _, x: x, axis_name=AXIS, in_axes=(0, None), devices=self.devices
        )

    def split(self, tree: Tree) -> Tree:
        """Cuts the first axis of every leaf into one equal piece per device."""
        if self.count == 1:
            return jax.device_put(tree, self.devices[0])

        def cut(x):
            return x.reshape((self.count, x.shape[0] // self.count, *x.shape[1:]))

        return jax.tree.map(cut, tree)

    def first(self, tree: Tree) -> Tree:
        """One copy of a replicated tree."""
        return tree if self.count == 1 else _first(tree)

    def join(self, tree: Tree) -> Tree:
        """Undoes `split`."""
        return tree if self.count == 1 else _join(tree)

    def to_host(self, tree: Tree) -> Tree:
        """One copy of a replicated tree, as NumPy arrays."""
        return jax.device_get(self.first(tree))

    def eval_shape(self, program: Any, *args: Any) -> Any:
        """Shapes of what a compiled body gives."""
        return jax.eval_shape(program, *args)

    def abstract(self, tree: Tree) -> Tree:
        """Shapes, dtypes and places of one copy of a tree of shapes."""
        here = jax.sharding.SingleDeviceSharding(self.devices[0])

        def placed(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here)

        return jax.tree.map(placed, tree)

    def laid_out(self, tree: Tree, copies: bool = False) -> Tree:
        """Shapes as the programs take them, places included: the key of jax's cache."""
        where = self.replicate(jnp.zeros((), jnp.int32)).sharding

        def shape(x):
            sizes = (self.count, *x.shape) if copies and self.count > 1 else x.shape
            return jax.ShapeDtypeStruct(sizes, x.dtype, sharding=where)

        return jax.tree.map(shape, tree)

    def bytes_on_one(self, tree: Any) -> int:
        """Bytes of a tree of shapes on each device."""
        leaves = jax.tree.leaves(tree)
        return sum(x.size * getattr(x.dtype, "itemsize", 4) for x in leaves)


# One program per tree: leaf by leaf these would compile dozens of small ones.
@jax.jit
def _first(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: x[0], tree)


@jax.jit
def _join(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: x.reshape((-1, *x.shape[2:])), tree)
