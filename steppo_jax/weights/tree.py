"""A parameter tree from tensors by name, one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.weights.names import Entry, Index, Path, Stored, entries

# (path, shape) of a parameter → where it belongs
ShardingOf = Callable[[Path, tuple[int, ...]], jax.sharding.Sharding]


def build(
    config: DecoderConfig,
    known: Collection[str],
    read: Callable[[str], Stored],
    source: str,
    sharding: ShardingOf | None = None,
) -> Any:
    """Policy parameters of `config.param_dtype` from a source of named tensors.

    Only one tensor is held on the host at a time, and with a `sharding` no more than
    what one device needs of it.

    Args:
      known: names that the source has; `read` gives one of them.
      source: what messages call it, a path.

    Raises ModelError for a tensor that is missing, left over, or of another shape.
    """
    wanted = entries(config)
    names = {entry.theirs for entry in wanted}
    missing = sorted(names - set(known))
    if missing:
        raise ModelError(
            f"{source} has no tensor {missing[0]} ({len(missing)} missing); "
            "use the complete checkpoint, or its own config.json"
        )
    # A tied head may be stored a second time; rotary tables are computed here.
    spare = {"lm_head.weight"} if config.tie_embeddings else set()
    extra = sorted(
        n for n in set(known) - names - spare if not n.endswith("rotary_emb.inv_freq")
    )
    if extra:
        raise ModelError(
            f"{source} has a tensor {extra[0]} that this decoder does not "
            f"({len(extra)} left over); use a checkpoint of the same family"
        )
    dtype = jnp.dtype(config.param_dtype)
    flat = {}
    for entry in wanted:
        stored = read(entry.theirs)
        if stored.shape != entry.their_shape:
            raise ModelError(
                f"{source}: {entry.theirs} has shape {stored.shape}, "
                f"{'/'.join(entry.ours)} needs {entry.their_shape}; "
                "use the config.json of this checkpoint"
            )
        flat[entry.ours] = _placed(entry, stored, dtype, sharding, source)
    return traverse_util.unflatten_dict(flat)


def _placed(
    entry: Entry,
    stored: Stored,
    dtype: jnp.dtype,
    sharding: ShardingOf | None,
    source: str,
) -> jax.Array:
    """One parameter, on its devices."""

    def part(index: Index) -> np.ndarray:
        return real(entry.read(stored, index), dtype, f"{source}: {entry.theirs}")

    if sharding is None:
        return jnp.asarray(part(tuple(slice(None) for _ in entry.our_shape)))
    where = sharding(entry.ours, entry.our_shape)
    return jax.make_array_from_callback(entry.our_shape, where, part)


def real(value: np.ndarray, dtype: jnp.dtype, name: str) -> np.ndarray:
    """`value` in `dtype`. Raises ModelError unless all of it is a finite number."""
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise ModelError(
            f"{name} holds {value.dtype}, not real numbers; "
            "use a checkpoint in float32, float16 or bfloat16"
        )
    with np.errstate(over="ignore"):
        value = value.astype(dtype)
    if not np.isfinite(value).all():
        raise ModelError(
            f"{name} has values that are not finite in {dtype}; "
            "fetch the file again, or use a wider param_dtype"
        )
    return value
