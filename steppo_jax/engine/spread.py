"""The engine's programs on the devices of one process of a mesh.

Slots are cut over the pieces of the batch, (data, fsdp), and the heads of their cache
over `tensor`. Weights are whole over `fsdp`, as in a rollout on the device: they are
gathered once when they come, in the dtype that the layers work in, and decoding sends
nothing but the sums of `tensor`. So each device holds 1/tensor of the policy beside
its part of the learner's state.

Every process works for itself: other processes take part in gathering weights only.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from steppo_jax import placement
from steppo_jax.engine import device
from steppo_jax.engine.device import PLACES, Slots
from steppo_jax.engine.requests import EngineError
from steppo_jax.mesh import Mesh
from steppo_jax.models.heads import Policy

FINE = "scale"  # of norms: they work in float32 whatever the others do


class Spread:
    """`engine.device` for the devices of a mesh that belong to this process.

    Args:
      mesh: of all processes, whose parameters are handed to `laid`.

    Raises EngineError where slots or heads do not divide over it.
    """

    def __init__(self, mesh: Mesh, policy: Policy, slots: int):
        self._given, self._mesh = mesh, mesh.of_process()
        self._policy, self.pieces = policy, self._mesh.count
        if slots % self.pieces:
            raise EngineError(
                f"slots={slots}: {self.pieces} pieces of the mesh share them; use a "
                "multiple"
            )
        if policy.config.kv_heads % mesh.tensor:
            raise EngineError(
                f"kv_heads={policy.config.kv_heads}: tensor={mesh.tensor} does not "
                "divide it; use a divisor"
            )
        one = jnp.ones((1, 1), jnp.int32)
        self._shapes = jax.eval_shape(policy.init, jax.random.key(0), one, one, one)
        self._weights = self._mesh.shardings(self._shapes)
        self._slots = jax.tree.map(self._at, PLACES)
        self._rows = self._at(placement.ROWS)
        self._alike = self._at(PartitionSpec())

    def empty(self, policy: Policy, slots: int, capacity: int) -> Slots:
        """Slots that hold nothing, made in their places."""
        make = functools.partial(device.empty, policy, slots, capacity)
        with jax.set_mesh(self._mesh.mesh):
            return jax.jit(make, out_shardings=self._slots)()

    def laid(self, params: Any) -> Any:
        """Parameters of the mesh as this process's programs read them."""
        if params is None:
            return None
        return jax.tree.map(self._own, self._gathering(params), self._weights)

    def prefill(self, policy: Policy, params, slots: Slots, *asked) -> Slots:
        del policy  # the one that was given
        with jax.set_mesh(self._mesh.mesh):
            return self._prefill(params, slots, *asked)

    def decode(self, policy: Policy, params, slots: Slots, stop, steps, reach) -> tuple:
        del policy
        with jax.set_mesh(self._mesh.mesh):
            return self._decode(params, slots, stop, steps, reach)

    def silence(self, slots: Slots, slot: int) -> Slots:
        with jax.set_mesh(self._mesh.mesh):
            return self._silence(slots, slot)

    def lower(self, slots: int, capacity: int) -> dict[str, Any]:
        """The largest programs for `slots` of this process, from shapes.

        `prefill` reads a prompt as long as the cache into a slot of every piece,
        `decode` speaks with the whole cache in view.
        """
        weights = jax.tree.map(  # of this process's mesh, not of the whole one
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype),
            jax.eval_shape(self._gathering, self._shapes),
        )
        held = jax.eval_shape(lambda: device.empty(self._policy, slots, capacity))
        number = jax.ShapeDtypeStruct((self.pieces,), jnp.int32)
        real = jax.ShapeDtypeStruct((self.pieces,), jnp.float32)
        tokens = jax.ShapeDtypeStruct((self.pieces, capacity), jnp.int32)
        key = jax.eval_shape(lambda: jax.random.key(0))
        asked = (number, (key,) * self.pieces, real, number, real)
        stop = jax.ShapeDtypeStruct((1,), jnp.int32)
        with jax.set_mesh(self._mesh.mesh):
            read = self._prefill.lower(
                weights, held, number, tokens, number, number, asked
            )
            return {
                "prefill": read,
                "decode": self._decode.lower(
                    weights, held, stop, device.STEPS, capacity
                ),
            }

    # ---- where things lie ----------------------------------------------------
    def _at(self, cut: PartitionSpec) -> NamedSharding:
        return NamedSharding(self._mesh.mesh, cut)

    def _own(self, x: jax.Array, where: NamedSharding) -> jax.Array:
        """An array of the whole mesh as one of this process: each device's as it is."""
        held = {shard.device: shard.data for shard in x.addressable_shards}
        pieces = [held[d] for d in where.addressable_devices_indices_map(x.shape)]
        return jax.make_array_from_single_device_arrays(x.shape, where, pieces)

    # ---- the programs --------------------------------------------------------
    @functools.cached_property
    def _gathering(self) -> Any:
        """(parameters of the mesh) → whole over fsdp, in the dtype of the work."""
        dtype, sizes = jnp.dtype(self._policy.config.dtype), self._given.sizes

        def cast(path, x):
            return x if placement.names(path)[-1] == FINE else x.astype(dtype)

        def whole(path, x):
            cut = placement.over_tensor(path, x.shape, sizes)
            return NamedSharding(self._given.mesh, cut)

        return jax.jit(
            lambda params: jax.tree_util.tree_map_with_path(cast, params),
            in_shardings=(self._given.shardings(self._shapes),),
            out_shardings=jax.tree_util.tree_map_with_path(whole, self._shapes),
        )

    @functools.cached_property
    def _prefill(self) -> Any:
        rows = self._rows
        asked = (rows, self._alike, rows, rows, rows)
        return jax.jit(
            functools.partial(device.read, self._policy),
            donate_argnums=1,
            in_shardings=(self._weights, self._slots, rows, rows, rows, rows, asked),
            out_shardings=self._slots,
        )

    @functools.cached_property
    def _decode(self) -> Any:
        said = self._at(PartitionSpec(None, placement.BATCH))  # [n, S]
        return jax.jit(
            functools.partial(device.speak, self._policy),
            donate_argnums=1,
            static_argnums=(3, 4),
            in_shardings=(self._weights, self._slots, self._alike),
            out_shardings=(self._slots, said, said, said),
        )

    @functools.cached_property
    def _silence(self) -> Any:
        return jax.jit(
            device.hush,
            donate_argnums=0,
            in_shardings=(self._slots, self._alike),
            out_shardings=self._slots,
        )


def slots_here(mesh: Mesh, slots: int) -> int:
    """Of the slots of all processes those of this one."""
    return slots * mesh.of_process().count // mesh.count


def bytes_on_one(mesh: Mesh, policy: Policy, slots: int, capacity: int) -> int:
    """Bytes that slots (of all processes) and weights take of each device; nothing is
    made.
    """
    here = mesh.of_process()
    held = device.bytes_held(policy, slots // mesh.count, capacity) // mesh.tensor
    one = jnp.ones((1, 1), jnp.int32)
    shapes = jax.eval_shape(policy.init, jax.random.key(0), one, one, one)
    dtype = jnp.dtype(policy.config.dtype)
    cast = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), shapes)
    return held + here.bytes_on_one(cast)
