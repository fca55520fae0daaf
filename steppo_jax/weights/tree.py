"""A parameter tree from tensors by name, one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.weights.names import Entry, Path, Stored, entries

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
        flat[entry.ours] = _placed(entry, stored, dtype, sharding)
    return traverse_util.unflatten_dict(flat)


def _placed(
    entry: Entry, stored: Stored, dtype: jnp.dtype, sharding: ShardingOf | None
) -> jax.Array:
    """One parameter, on its devices."""
    if sharding is None:
        whole = tuple(slice(None) for _ in entry.our_shape)
        return jnp.asarray(entry.read(stored, whole).astype(dtype))
    return jax.make_array_from_callback(
        entry.our_shape,
        sharding(entry.ours, entry.our_shape),
        lambda index: entry.read(stored, index).astype(dtype),
    )
