"""HuggingFace checkpoints: `config.json` and one or more safetensors files."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from steppo_jax.models import families
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.weights.names import entries
from steppo_jax.weights.tree import Place, build, on_default_device

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD_BYTES = 4 * 2**30


def load(
    folder: pathlib.Path, place: Place = on_default_device, **dtypes: Any
) -> tuple[DecoderConfig, Any]:
    """(decoder, parameters of a Policy) of a checkpoint folder.

    `dtypes` (dtype, param_dtype, remat) go to the decoder. Raises ModelError with
    the file and the reason for anything that does not fit.
    """
    config = families.from_hf(_json(folder / "config.json"), **dtypes)
    where = _files(folder)
    open_files = {path: _open(path) for path in set(where.values())}

    def read(name: str) -> np.ndarray:
        try:
            return open_files[where[name]].get_tensor(name)
        except (SafetensorError, TypeError, ValueError, AttributeError) as error:
            # The last three: a dtype that NumPy does not have.
            raise ModelError(f"{where[name]}: {name}: {error}") from None

    return config, build(config, where.keys(), read, str(folder), place)


def save(
    folder: pathlib.Path,
    config: DecoderConfig,
    params: Mapping[str, Any],
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes a checkpoint that `load` and `transformers` read; byte-stable.

    The same parameters give the same bytes: tensors go into files in the order of
    the layers, and nothing of the time or the machine is stored.
    """
    document = families.to_hf(config)
    folder.mkdir(parents=True, exist_ok=True)
    flat = traverse_util.flatten_dict(params)
    shards: list[dict[str, np.ndarray]] = [{}]
    size = total = 0
    for entry in entries(config):
        value = np.ascontiguousarray(entry.to_theirs(np.asarray(flat[entry.ours])))
        if shards[-1] and size + value.nbytes > shard_bytes:
            shards.append({})
            size = 0
        shards[-1][entry.theirs] = value
        size, total = size + value.nbytes, total + value.nbytes
    _write_json(folder / "config.json", document)
    names = [ONE] if len(shards) == 1 else _shard_names(len(shards))
    for name, shard in zip(names, shards, strict=True):
        save_file(shard, folder / name, metadata={"format": "pt"})
    if len(shards) > 1:
        places = {t: n for n, shard in zip(names, shards, strict=True) for t in shard}
        index = {"metadata": {"total_size": total}, "weight_map": places}
        _write_json(folder / INDEX, index)


def _shard_names(count: int) -> list[str]:
    return [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]


def _files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Tensor name → the file it is in."""
    if (folder / INDEX).exists():
        places = _json(folder / INDEX).get("weight_map")
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
    return dict.fromkeys(_open(path).keys(), path)


def _open(path: pathlib.Path):
    try:
        return safe_open(path, framework="numpy")
    except FileNotFoundError:
        raise ModelError(
            f"{path} does not exist; give a folder with config.json and "
            f"{ONE} or {INDEX}"
        ) from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is no safetensors file: {error}") from None


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path} does not exist; give the folder of a HuggingFace checkpoint"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object; restore the file")
    return value


def _write_json(path: pathlib.Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=2, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8")
