"""Models to measure: a file, a folder, or random weights of a known size."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from steppo_jax.models import sizes as published
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.models.heads import Policy
from steppo_jax.weights import gguf_file, huggingface

SIZES = {"tiny": published.sized(64, 16, 2, 4, 2, 4, 24, 1e4), **published.SIZES}


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
