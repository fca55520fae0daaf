"""Models to measure: a file, a folder, or random weights of a known size."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.models.heads import Policy
from steppo_jax.weights import gguf_file, huggingface


def _size(vocabulary, width, layers, heads, kv_heads, head_width, mlp_width, **more):
    return DecoderConfig(
        vocabulary=vocabulary,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        mlp_width=mlp_width,
        positions="rope",
        tie_embeddings=True,
        **more,
    )


SIZES = {
    "tiny": _size(64, 16, 2, 4, 2, 4, 24, rope_theta=1e4),
    "smollm2_135m": _size(
        49152, 576, 30, 9, 3, 64, 1536, rope_theta=1e5, norm_eps=1e-5
    ),
    "qwen2_5_3b": _size(
        151936, 2048, 36, 16, 2, 128, 11008, rope_theta=1e6, qkv_bias=True
    ),
    "qwen3_1_7b": _size(
        151936, 2048, 28, 16, 8, 128, 6144, rope_theta=1e6, qk_norm=True
    ),
    "qwen3_4b": _size(151936, 2560, 36, 32, 8, 128, 9728, rope_theta=5e6, qk_norm=True),
}


def load(name: str, dtype: str) -> tuple[DecoderConfig, Any]:
    """(decoder, parameters) of a name in SIZES, a .gguf file or a checkpoint folder.

    Work and parameters are `dtype`. Raises ModelError.
    """
    dtypes = {"dtype": dtype, "param_dtype": dtype}
    if name in SIZES:
        config = dataclasses.replace(SIZES[name], **dtypes)
        place = jnp.zeros((1, 1), jnp.int32)
        init = jax.jit(Policy(config).init)
        return config, init(jax.random.key(0), place, place, place + 1)
    path = pathlib.Path(name)
    if path.suffix == ".gguf":
        return gguf_file.load(path, **dtypes)
    if path.is_dir():
        return huggingface.load(path, **dtypes)
    raise ModelError(
        f"--model={name}: give a .gguf file, the folder of a checkpoint, or random "
        f"weights of {', '.join(SIZES)}"
    )
