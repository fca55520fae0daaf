"""A tree as orbax can store it, and the list of what is in it.

Typed PRNG keys become their raw data and back. The list names path, dtype and shape
of every leaf, because orbax casts another dtype silently; the checksums notice a
flipped byte in an array, which orbax does not.
"""

from __future__ import annotations

import json
import pathlib
import zlib
from typing import Any

import jax
import numpy as np

from steppo_jax.errors import Refused

Contents = dict[str, str]  # path of a leaf → "dtype[shape]"


class CheckpointMismatch(Refused):
    """The checkpoint holds another tree than the program asks for."""


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def unwrap(leaf: Any) -> Any:
    """A leaf as orbax can store it: keys as their raw data, scalars as arrays."""
    if not isinstance(leaf, jax.Array):
        return np.asarray(leaf)
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def raw(leaf: Any) -> Any:
    """What to restore for an abstract leaf: raw key data, or the leaf itself."""
    if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct):
        return np.asarray(leaf)
    shape, dtype = leaf.shape, leaf.dtype
    if _is_key(leaf):
        data = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(shape, dtype))
        shape, dtype = data.shape, data.dtype
    return jax.ShapeDtypeStruct(shape, dtype, sharding=leaf.sharding)


def wrap(leaf: Any, value: Any) -> Any:
    """Undoes `unwrap` for the leaf that was asked for."""
    if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) and _is_key(leaf):
        return jax.random.wrap_key_data(value, impl=jax.random.key_impl(leaf))
    return value


def contents(tree: Any) -> Contents:
    """Path → dtype and shape of every leaf, for arrays and abstract trees alike."""

    def says(leaf: Any) -> str:
        array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        return f"{array.dtype}{list(array.shape)}"

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): says(leaf) for path, leaf in leaves}


def checksums(raw: Any) -> dict[str, int]:
    """Path → CRC-32 of every leaf that lies wholly on this host, or is whole there."""
    leaves = jax.tree_util.tree_leaves_with_path(raw)
    return {
        jax.tree_util.keystr(path): zlib.crc32(
            np.ascontiguousarray(leaf).view(np.uint8)
        )
        for path, leaf in leaves
        if not isinstance(leaf, jax.Array)
        or leaf.is_fully_addressable
        or leaf.is_fully_replicated
    }


def checksum(listed: Any) -> int:
    """CRC-32 of plain data."""
    return zlib.crc32(json.dumps(listed, sort_keys=True).encode())


def compare(stored: Contents, wanted: Contents, where: pathlib.Path) -> None:
    """Raises CheckpointMismatch, both sides named, unless the two are equal."""
    differ = [
        f"{path}: stored {stored.get(path, 'nothing')}, "
        f"wanted {wanted.get(path, 'nothing')}"
        for path in {**wanted, **stored}
        if stored.get(path) != wanted.get(path)
    ]
    if differ:
        more = f" (and {len(differ) - 3} more leaves)" if len(differ) > 3 else ""
        raise CheckpointMismatch(
            f"{where}: the checkpoint holds another tree; "
            f"{'; '.join(differ[:3])}{more}; "
            "resume with the configuration that wrote it, or use a new workdir"
        )
