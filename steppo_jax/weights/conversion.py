"""From one kind of weight file to another: GGUF or safetensors in, safetensors out."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from steppo_jax.models import lora
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.models.merging import merge
from steppo_jax.weights import gguf_file, huggingface, peft
from steppo_jax.weights.files import read_json

DTYPES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Converted:
    """What a conversion read, ready to be written."""

    config: DecoderConfig
    params: Any
    also: dict[str, Any]  # fields of config.json that the decoder does not have


def read(
    source: pathlib.Path, adapter: pathlib.Path | None, dtype: str | None
) -> Converted:
    """A GGUF file or a checkpoint folder, with an adapter folded in where one is given.

    An adapter is folded in in float32 and the sum rounded once. `dtype` is that of the
    result; None keeps what is stored (float32 for GGUF). Raises ModelError.
    """
    is_folder = source.is_dir()
    if not is_folder and not source.exists():
        raise ModelError(f"{source} does not exist; give a .gguf file or a folder")
    load = huggingface.load if is_folder else gguf_file.load
    stored = huggingface.stored_dtype(source) if is_folder else "float32"
    wanted = dtype or stored
    host = jax.local_devices(backend="cpu")[0]
    here = jax.sharding.SingleDeviceSharding(host)
    config, params = load(
        source,
        lambda path, shape: here,
        param_dtype="float32" if adapter else wanted,
    )
    if adapter is not None:
        config, adapters = peft.load(adapter, config)
        with jax.default_device(host):
            config, params = merge(config, params | {lora.COLLECTION: adapters})
        params = jax.tree.map(lambda x: x.astype(jnp.dtype(wanted)), params)
        config = dataclasses.replace(config, param_dtype=wanted)
    also = _also_of_folder(source) if is_folder else gguf_file.other_fields(source)
    return Converted(config, params, also)


def _also_of_folder(source: pathlib.Path) -> dict[str, Any]:
    """All of its config.json but the dtype."""
    document = read_json(source / "config.json", huggingface.CHECKPOINT)
    return {k: v for k, v in document.items() if k not in ("dtype", "torch_dtype")}
