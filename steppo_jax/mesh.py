"""The second wrapper around a body: `jit` over a (data, fsdp, tensor) mesh.

Arrays are global and sharded by `placement`; the body sees one device (`parallel.ONE`)
and XLA's partitioner adds the collectives. It has the methods of `parallel.Devices`,
so nothing else of a run knows which of the two it is given.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from steppo_jax import placement
from steppo_jax.parallel import ONE

Tree = TypeVar("Tree")


def with_tensor_inside(devices: np.ndarray) -> np.ndarray:
    """[data, fsdp, tensor] devices, those along `tensor` in one process if that can be.

    A generation engine works on the devices of its process. Neighbours in a TPU slice
    are of different hosts as often as not; as given where nothing is gained.
    """
    rows = devices.reshape(-1, devices.shape[-1])
    if all(len({d.process_index for d in row}) == 1 for row in rows):
        return devices
    ordered = sorted(devices.ravel(), key=lambda d: (d.process_index, d.id))
    found = np.array(ordered, dtype=object).reshape(devices.shape)
    rows = found.reshape(rows.shape)
    inside = all(len({d.process_index for d in row}) == 1 for row in rows)
    return found if inside else devices


class Program:
    """A body that is traced, lowered and run under its mesh.

    Where its results lie is settled at the first use, from their names and shapes.
    """

    def __init__(self, mesh: Mesh, body: Callable[..., Any], donate: Sequence[int]):
        # Traced once: inside the program with places this one is only read again.
        self._body = jax.jit(body, inline=True)
        self._mesh, self._donate, self._placed = mesh, tuple(donate), None

    def __call__(self, *args: Any) -> Any:
        with jax.set_mesh(self._mesh.mesh):
            return self._jitted(args)(*args)

    def lower(self, *args: Any) -> Any:
        with jax.set_mesh(self._mesh.mesh):
            return self._jitted(args).lower(*args)

    def eval_shape(self, *args: Any) -> Any:
        with jax.set_mesh(self._mesh.mesh):
            return self._body.eval_shape(*args)

    def _jitted(self, args: tuple[Any, ...]) -> Any:
        if self._placed is None:
            places = self._mesh.shardings(self._body.eval_shape(*args))
            self._placed = jax.jit(
                lambda *args: self._body(*args),
                donate_argnums=self._donate,
                out_shardings=places,
            )
        return self._placed


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Runs bodies `f(axis, …)` on a mesh of devices; see `parallel.Devices`."""

    devices: tuple[Any, ...]
    data: int
    fsdp: int
    tensor: int
    settled: bool = False  # devices stand as given, not as jax finds best

    numbered = 1  # sequences are numbered over the whole mesh

    def __post_init__(self):
        wanted = self.data * self.fsdp * self.tensor
        if wanted != len(self.devices):
            raise ValueError(
                f"data={self.data} * fsdp={self.fsdp} * tensor={self.tensor} = "
                f"{wanted} devices, {len(self.devices)} are given"
            )

    @classmethod
    def local(cls, data: int, fsdp: int, tensor: int) -> Mesh:
        """The first local devices, as many as the mesh needs; all of all processes."""
        here, wanted = jax.devices(), data * fsdp * tensor
        named = f"parallel.data={data} * fsdp={fsdp} * tensor={tensor} = {wanted}"
        kind, processes = here[0].platform, jax.process_count()
        if wanted > len(here) and processes == 1:
            raise ValueError(
                f"{named}: only {len(here)} local {kind} devices; lower one of them"
            )
        if wanted != len(here) and processes > 1:
            raise ValueError(
                f"{named}: {processes} processes have {len(here)} {kind} devices, and "
                "each takes part with all of its own; make the two equal"
            )
        return cls(tuple(here[:wanted]), data, fsdp, tensor)

    @property
    def count(self) -> int:
        """Pieces that the batch is cut into."""
        return self.data * self.fsdp

    @functools.cached_property
    def mesh(self) -> Any:
        # Auto: flax's layers do not say where their results lie.
        kinds = (AxisType.Auto,) * len(placement.AXES)
        sizes = tuple(self.sizes.values())
        if self.settled:
            given = np.array(self.devices).reshape(sizes)
            return jax.sharding.Mesh(given, placement.AXES, axis_types=kinds)
        try:
            found = jax.make_mesh(
                sizes, placement.AXES, axis_types=kinds, devices=self.devices
            )
        except NotImplementedError:  # an axis that is a part of a side of a TPU slice
            given = mesh_utils.create_device_mesh(
                sizes, self.devices, allow_split_physical_axes=True
            )
            found = jax.sharding.Mesh(given, placement.AXES, axis_types=kinds)
        given = with_tensor_inside(found.devices)
        return jax.sharding.Mesh(given, placement.AXES, axis_types=kinds)

    def of_process(self) -> Mesh:
        """The devices of this process with all pieces along `data`, each device at the
        place along `tensor` that it has here.

        Raises ValueError where devices that share along `tensor` are in several.
        """
        rows, own = self.mesh.devices.reshape(-1, self.tensor), set(self.here)
        kept = [row for row in rows if own.issuperset(row)]
        if len(kept) * self.tensor != len(own):
            raise ValueError(
                f"parallel.tensor={self.tensor}: does not divide the {len(own)} "
                "devices of a process; use a divisor"
            )
        return Mesh(tuple(np.ravel(kept)), len(kept), 1, self.tensor, settled=True)

    @property
    def sizes(self) -> dict[str, int]:
        """Devices along each axis."""
        return dict(zip(placement.AXES, (self.data, self.fsdp, self.tensor)))

    def shardings(self, tree: Tree) -> Tree:
        """Where each leaf of a tree of arrays or shapes lies."""

        def of(path, x):
            cut = placement.of_leaf(path, jnp.shape(x), self.sizes)
            return NamedSharding(self.mesh, cut)

        return jax.tree_util.tree_map_with_path(of, tree)

    def compile(self, body: Callable[..., Any], donate: Sequence[int] = ()) -> Program:
        """Compiles `body(axis, *args)`; `donate` counts the arguments after `axis`.

        Results lie where `placement` says, so what comes out goes in again.
        """

        return Program(self, lambda *args: body(ONE, *args), donate)

    def replicate(self, tree: Tree) -> Tree:
        """The tree in its places, copied: it can be donated."""
        # device_put alone may keep one device's piece where it was, may_alias or not.
        return _copied(self.split(tree))

    def split(self, tree: Tree) -> Tree:
        """The tree in its places; every process has to have the same whole tree."""
        places = self.shardings(tree)
        if jax.process_count() == 1:
            return jax.device_put(tree, places)
        # device_put does not take keys there, and compares the copies leaf by leaf.
        return jax.jit(_as_given, out_shardings=places)(tree)

    @property
    def here(self) -> list[Any]:
        """Devices of this process."""
        own = jax.process_index()
        return [device for device in self.devices if device.process_index == own]

    def first(self, tree: Tree) -> Tree:
        return tree

    def join(self, tree: Tree) -> Tree:
        """The tree as a host can read it: with several processes, whole on each."""
        return tree if jax.process_count() == 1 else self._gathering(tree)

    @functools.cached_property
    def _gathering(self) -> Any:
        whole = NamedSharding(self.mesh, PartitionSpec())
        return jax.jit(_as_given, out_shardings=whole)

    def to_host(self, tree: Tree) -> Tree:
        """A tree of the update's results, as NumPy arrays."""
        return jax.device_get(self.join(tree))

    def eval_shape(self, program: Program, *args: Any) -> Any:
        """Shapes of what a compiled body gives."""
        return program.eval_shape(*args)

    def abstract(self, tree: Tree) -> Tree:
        """Shapes, dtypes and places of one copy of a tree of shapes."""

        def placed(x, where):
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

        return jax.tree.map(placed, tree, self.shardings(tree))

    def laid_out(self, tree: Tree, copies: bool = False) -> Tree:
        """Shapes as the programs take them; there are no copies on a mesh."""
        del copies
        return self.abstract(tree)

    def bytes_on_one(self, tree: Any) -> int:
        """Bytes of a tree of shapes on each device."""

        def here(x, where):
            size = getattr(x.dtype, "itemsize", 4)
            for length in where.shard_shape(x.shape):
                size *= length
            return size

        return sum(jax.tree.leaves(jax.tree.map(here, tree, self.shardings(tree))))


def _as_given(tree: Tree) -> Tree:
    return tree


@jax.jit
def _copied(tree: Tree) -> Tree:
    return jax.tree.map(jnp.copy, tree)
