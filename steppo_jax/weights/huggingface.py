"""HuggingFace checkpoints: `config.json` and one or more safetensors files."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util
from safetensors import SafetensorError
from safetensors.numpy import save_file

from steppo_jax.models import families
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.weights.files import open_tensors, read_json, write_json
from steppo_jax.weights.names import Entry, Index, entries
from steppo_jax.weights.tree import ShardingOf, build

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD_BYTES = 4 * 2**30
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}  # as files name them
# The last three: a dtype that NumPy does not have.
UNREADABLE = (SafetensorError, TypeError, ValueError, AttributeError)
CHECKPOINT = "the folder of a HuggingFace checkpoint"


@dataclasses.dataclass(frozen=True)
class _Stored:
    """A tensor of a file, of which parts can be read."""

    part: Any  # what safetensors gives for a name
    shape: tuple[int, ...]
    where: str  # for messages

    def __getitem__(self, index: Index) -> np.ndarray:
        try:
            return self.part[index]
        except UNREADABLE as error:
            raise ModelError(f"{self.where}: {error}") from None


def load(
    folder: pathlib.Path, sharding: ShardingOf | None = None, **dtypes: Any
) -> tuple[DecoderConfig, Any]:
    """(decoder, parameters of a Policy) of a checkpoint folder.

    Args:
      sharding: where each parameter belongs; every device's part is read by itself
        and goes there at once. None puts whole tensors on the default device.
      dtypes: dtype, param_dtype, remat of the decoder.

    Raises ModelError with the file and the reason for anything that does not fit.
    """
    document = read_json(folder / "config.json", CHECKPOINT)
    config = families.from_hf(document, **dtypes)
    where = _files(folder)
    open_files = {path: open_tensors(path) for path in set(where.values())}

    def read(name: str) -> _Stored:
        at = f"{where[name]}: {name}"
        try:
            part = open_files[where[name]].get_slice(name)
            return _Stored(part, tuple(part.get_shape()), at)
        except UNREADABLE as error:
            raise ModelError(f"{at}: {error}") from None

    return config, build(config, where.keys(), read, str(folder), sharding)


def stored_dtype(folder: pathlib.Path) -> str:
    """The dtype of the weights in a folder; float32 where they have several."""
    found = set()
    for path in set(_files(folder).values()):
        file = open_tensors(path)
        found |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return DTYPES.get(found.pop(), "float32") if len(found) == 1 else "float32"


def config_of(folder: pathlib.Path, **dtypes: Any) -> DecoderConfig:
    """The decoder of a checkpoint folder, without reading a tensor."""
    return families.from_hf(read_json(folder / "config.json", CHECKPOINT), **dtypes)


def save(
    folder: pathlib.Path,
    config: DecoderConfig,
    params: Mapping[str, Any],
    shard_bytes: int = SHARD_BYTES,
    also: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint that `load` and `transformers` read; byte-stable.

    The same parameters give the same bytes: tensors go into files in the order of
    the layers, and nothing of the time or the machine is stored. The host holds one
    file's tensors at a time.

    Args:
      also: fields of config.json that a decoder does not have (ids of special
        tokens, longest context); they win over ours.

    Raises ModelError for adapters: merge them, or save them by `weights.peft`.
    """
    if config.lora_rank is not None:
        raise ModelError(
            f"lora_rank={config.lora_rank}: a checkpoint has no adapters; merge them "
            "first (models.merging) or save them alone (weights.peft)"
        )
    document = families.to_hf(config) | dict(also or {})
    folder.mkdir(parents=True, exist_ok=True)
    flat = traverse_util.flatten_dict(params)
    sizes = [(entry, flat[entry.ours].nbytes) for entry in entries(config)]
    shards = _plan(sizes, shard_bytes)
    write_json(folder / "config.json", document)
    names = [ONE] if len(shards) == 1 else _shard_names(len(shards))
    for name, shard in zip(names, shards, strict=True):
        tensors = {
            entry.theirs: np.ascontiguousarray(
                entry.to_theirs(np.asarray(flat[entry.ours]))
            )
            for entry in shard
        }
        save_file(tensors, folder / name, metadata={"format": "pt"})
    if len(shards) > 1:
        places = {
            entry.theirs: name
            for name, shard in zip(names, shards, strict=True)
            for entry in shard
        }
        total = sum(size for _, size in sizes)
        index = {"metadata": {"total_size": total}, "weight_map": places}
        write_json(folder / INDEX, index)


def _plan(sizes: list[tuple[Entry, int]], shard_bytes: int) -> list[list[Entry]]:
    """The tensors of each file: in order, a new file where one would be too large."""
    shards: list[list[Entry]] = [[]]
    held = 0
    for entry, size in sizes:
        if shards[-1] and held + size > shard_bytes:
            shards.append([])
            held = 0
        shards[-1].append(entry)
        held += size
    return shards


def _shard_names(count: int) -> list[str]:
    return [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]


def _files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Tensor name → the file it is in."""
    if (folder / INDEX).exists():
        places = read_json(folder / INDEX, CHECKPOINT).get("weight_map")
        if not isinstance(places, dict):
            raise ModelError(f"{folder / INDEX} has no weight_map; restore the file")
        for file in places.values():
            # A name from a file must not lead out of the folder.
            if not isinstance(file, str) or pathlib.PurePath(file).name != file:
                raise ModelError(
                    f"{folder / INDEX} names the file {file!r}; only plain file "
                    "names are read"
                )
        return {name: folder / file for name, file in places.items()}
    path = folder / ONE
    return dict.fromkeys(open_tensors(path).keys(), path)
