"""Where each array of a run lies on a mesh: decided by its name and shape alone.

The mesh has three axes. `data` and `fsdp` cut the batch; `fsdp` also cuts parameters
and optimizer states, which are gathered layer by layer where they are used; `tensor`
cuts heads, the width of the MLP and the vocabulary (Megatron-LM, arXiv 1909.08053).

| parameter          | shape   | over              |
|--------------------|---------|-------------------|
| embedding          | V, D    | tensor, fsdp      |
| query, key, value  | D, H, K | fsdp, tensor, –   |
| out                | H, K, D | tensor, –, fsdp   |
| gate, up           | D, F    | fsdp, tensor      |
| down               | F, D    | tensor, fsdp      |
| head               | D, V    | fsdp, tensor      |

A dimension that its axis does not divide is not cut; norms, biases and adapters never
are. States of optimizers have the names of their parameters. Parameters of all layers
in one (`models.stacking`) are cut as those of one, their leading axis never.

The slots of a generation engine (`engine.spread`) are cut as a batch, the heads of
their cache over `tensor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

DATA, FSDP, TENSOR = AXES = ("data", "fsdp", "tensor")
BATCH = (DATA, FSDP)  # what cuts the first axis of tables and activations
ROWS, CACHE = PartitionSpec(BATCH), PartitionSpec(BATCH, TENSOR)  # of an engine's slots
PARAMETERS = ("params", "lora")  # collections of a network's variables
LAYERS = "layers"  # parameters below it have an axis of layers before their own

CUT: dict[tuple[str, str], tuple[str | None, ...]] = {
    ("embedding", "embedding"): (TENSOR, FSDP),
    ("position_table", "embedding"): (None, FSDP),
    ("query", "kernel"): (FSDP, TENSOR, None),
    ("key", "kernel"): (FSDP, TENSOR, None),
    ("value", "kernel"): (FSDP, TENSOR, None),
    ("out", "kernel"): (TENSOR, None, FSDP),
    ("gate", "kernel"): (FSDP, TENSOR),
    ("up", "kernel"): (FSDP, TENSOR),
    ("down", "kernel"): (TENSOR, FSDP),
    ("head", "kernel"): (FSDP, TENSOR),
}


def names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """The words of a leaf's path."""
    words = []
    for key in path:
        word = getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))
        words.append(str(word))
    return tuple(words)


def of_leaf(
    path: tuple[Any, ...], shape: tuple[int, ...], sizes: dict[str, int]
) -> PartitionSpec:
    """How a leaf is cut: parameters by name, other arrays along their first axis.

    Args:
      sizes: number of devices along each axis of the mesh.
    """
    words = names(path)
    if is_parameter(words):
        return of_parameter(words, shape, sizes)
    count = sizes[DATA] * sizes[FSDP]
    if not shape or shape[0] % count:
        return PartitionSpec()
    return PartitionSpec(BATCH)


def is_parameter(words: tuple[str, ...]) -> bool:
    """Whether a leaf is a parameter, or an optimizer's state of one."""
    return any(name in words for name in PARAMETERS)


def of_parameter(
    words: tuple[str, ...], shape: tuple[int, ...], sizes: dict[str, int]
) -> PartitionSpec:
    """The table above."""
    cut = CUT.get(words[-2:], ())
    if LAYERS in words:
        cut = (None, *cut)
    if len(cut) != len(shape):
        return PartitionSpec()
    return PartitionSpec(
        *(
            axis if axis and size % sizes[axis] == 0 else None
            for axis, size in zip(cut, shape)
        )
    )


def _here() -> Any:
    """The mesh that is being traced for, or None."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh if FSDP in mesh.axis_names else None


def spread(x: jax.Array, axis: int = 0) -> jax.Array:
    """x with one axis cut over the batch's axes; x itself outside of a mesh.

    Said where the partitioner would have to guess: at the slices of a minibatch, and
    between the layers, so that weights are gathered and not activations.
    """
    mesh = _here()
    if mesh is None or x.shape[axis] % (mesh.shape[DATA] * mesh.shape[FSDP]):
        return x
    cut = PartitionSpec(*(None,) * axis, BATCH)
    return jax.lax.with_sharding_constraint(x, cut)


def settled(tree: Any) -> Any:
    """A tree with its parameters' gradients where the parameters lie, on a mesh."""
    mesh = _here()
    if mesh is None:
        return tree

    def put(path, x):
        if not is_parameter(names(path)):
            return x
        cut = of_leaf(path, x.shape, dict(mesh.shape))
        return jax.lax.with_sharding_constraint(x, cut)

    return jax.tree_util.tree_map_with_path(put, tree)


def by_heads(kernel: Any) -> Any:
    """`kernel(q, k, v, segment)` on each device's sequences and heads, [S, H, …].

    For kernels that the partitioner cannot look into; as given without a mesh.
    """
    mesh = _here()
    if mesh is None:
        return kernel
    heads, sequences = PartitionSpec(BATCH, TENSOR), PartitionSpec(BATCH)
    return jax.shard_map(
        kernel,
        mesh=mesh,
        in_specs=(heads, heads, heads, sequences),
        out_specs=heads,
        check_vma=False,
    )


def by_piece(local: Callable[..., Any], given: Any, gives: Any) -> Callable[..., Any]:
    """`local` on each device's own part of its arguments; as given without a mesh.

    For reads and writes at places that differ from row to row: nothing is sent for
    them, where the partitioner might gather the whole array.

    Args:
      given, gives: where arguments and results lie, `ROWS` or `CACHE` for each.
    """
    mesh = _here()
    if mesh is None:
        return local
    return jax.shard_map(
        local, mesh=mesh, in_specs=given, out_specs=gives, check_vma=False
    )


def pieces() -> int:
    """Parts that the batch is cut into where this is traced; 1 without a mesh."""
    mesh = _here()
    return 1 if mesh is None else mesh.shape[DATA] * mesh.shape[FSDP]


def over_tensor(
    path: tuple[Any, ...], shape: tuple[int, ...], sizes: dict[str, int]
) -> PartitionSpec:
    """As `of_leaf`, whole over `fsdp`."""
    cut = of_leaf(path, shape, sizes | {FSDP: 1})
    return PartitionSpec(*(None if axis == FSDP else axis for axis in cut))


def gathered(params: Any) -> Any:
    """Parameters whole over `fsdp`, still cut over `tensor`; as given without a mesh.

    For a rollout, which reads them once per token: one collective before the first.
    """
    mesh = _here()
    if mesh is None:
        return params

    def whole(path, x):
        cut = over_tensor(path, x.shape, dict(mesh.shape))
        return jax.lax.with_sharding_constraint(x, cut)

    return jax.tree_util.tree_map_with_path(whole, params)
