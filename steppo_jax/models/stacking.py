"""The layers of a decoder as one: every parameter with a leading axis of layers.

Parameters are kept layer by layer, as checkpoints and the engine have them. A program
that goes through the layers by a loop (`scan_layers`) stacks them once, where it
begins: 36 layers then are 11 arrays and not 396, for each gradient, state of an
optimizer and collective in it, and compile as fast as one. The price is a second copy
of what is stacked while the program runs.
"""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from steppo_jax import placement

Tree = TypeVar("Tree")


def _block(i: int) -> str:
    return f"block_{i}"


def is_layered(x: Any) -> bool:
    """Whether x is the parameters of a decoder, or a tree like it, layer by layer."""
    return isinstance(x, dict) and _block(0) in x


def stacked(tree: Tree) -> Tree:
    """The tree with the layers of each decoder in it under one name; see `layered`."""
    return placement.settled(jax.tree.map(_stack, tree, is_leaf=is_layered))


def layered(tree: Tree) -> Tree:
    """Undoes `stacked`."""
    return jax.tree.map(_unstack, tree, is_leaf=_is_stacked)


def blocks(decoder: dict[str, Any]) -> list[Any]:
    """The trees of a decoder's layers, the first one first."""
    count = sum(name.startswith("block_") for name in decoder)
    return [decoder[_block(i)] for i in range(count)]


def one(layers: list[Any]) -> Any:
    """The trees of all layers as one, with a leading axis."""
    return jax.tree.map(lambda *x: jnp.stack(x), *layers)


def _is_stacked(x: Any) -> bool:
    return isinstance(x, dict) and placement.LAYERS in x


def _stack(x: Any) -> Any:
    if not is_layered(x):
        return x
    rest = {name: y for name, y in x.items() if not name.startswith("block_")}
    return rest | {placement.LAYERS: one(blocks(x))}


def _unstack(x: Any) -> Any:
    if not _is_stacked(x):
        return x
    rest, layers = dict(x), x[placement.LAYERS]
    del rest[placement.LAYERS]
    for i in range(jax.tree.leaves(layers)[0].shape[0]):
        rest[_block(i)] = jax.tree.map(lambda y, i=i: y[i], layers)
    return rest
