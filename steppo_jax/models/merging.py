"""Adapters folded into the weights they stand beside."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from steppo_jax.models import lora
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.lora import Variables


def merge(
    config: DecoderConfig, variables: Variables
) -> tuple[DecoderConfig, Variables]:
    """(decoder, variables) without adapters that compute the same: W + (α/r)AB.

    The product is taken and added in float32, then rounded once to the weights'
    dtype. What has no adapter is passed on as it is, not copied.
    """
    plain = dataclasses.replace(
        config, lora_rank=None, lora_alpha=None, lora_layers=None
    )
    if config.lora_rank is None:
        return plain, variables

    def fold(weights, adapters):
        """A module's weights with its adapters, and those of the modules in it."""
        out = dict(weights)
        for name, inner in adapters.items():
            layer = name.removesuffix("_adapter")
            if layer == name:
                out[name] = fold(weights[name], inner)
                continue
            kernel = weights[layer]["kernel"]
            more = (inner["a"] @ inner["b"]).reshape(kernel.shape) * config.lora_scale
            summed = (kernel.astype(jnp.float32) + more).astype(kernel.dtype)
            out[layer] = weights[layer] | {"kernel": summed}
        return out

    params = fold(variables["params"], variables[lora.COLLECTION])
    return plain, {"params": params}
