"""The fused attention kernels of TPUs (`splash`) and GPUs (`triton`), both from jax.

Each runs on a device's own sequences and heads; causal by place, inside one segment.
The scores exist tile by tile in the chip's own memory, forward and backward.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from steppo_jax import placement

# Kernel: (the platform it is for, what sequences and heads are whole numbers of).
MULTIPLES = {"splash": ("tpu", 128, 128), "triton": ("gpu", 128, 16)}
NAMES = {"tpu": "TPU", "gpu": "GPU"}


def why_not(kind: str, places: int, channels: int) -> str | None:
    """What keeps the kernel from sequences of `places` and heads of `channels`."""
    platform, of_places, of_channels = MULTIPLES[kind]
    if channels % of_channels:
        given, multiple = f"heads of {channels} channels", of_channels
    elif places % of_places:
        given, multiple = f"sequences of {places} places", of_places
    else:
        return None
    return f"{given}: the {NAMES[platform]}'s kernel takes multiples of {multiple}"


def fused(
    kind: str,
    q_SLHK: jax.Array,
    k_SGLK: jax.Array,
    v_SGLK: jax.Array,
    segment_SL: jax.Array,
    interpret: bool = False,
) -> jax.Array:
    """As `attention.whole`, by the kernel `kind`; `interpret`: slowly, on any platform.

    Raises ValueError for sizes that the kernel cannot cut.
    """
    L, K = q_SLHK.shape[1], q_SLHK.shape[3]
    if problem := why_not(kind, L, K):
        raise ValueError(f"model.attention={kind!r}: {problem}; use blocks")
    make = {"splash": _splash, "triton": _triton}[kind]
    run = placement.by_heads(make(L, K, interpret))
    out = run(q_SLHK.swapaxes(1, 2), k_SGLK, v_SGLK, segment_SL)
    return out.swapaxes(1, 2).astype(v_SGLK.dtype)


# Imports are inside: those of the kernels take a second, and few runs need them.


def _splash(L: int, K: int, interpret: bool) -> Callable[..., jax.Array]:
    from jax.experimental.pallas.ops.tpu import splash_attention

    splash = splash_attention.splash_attention_kernel
    masks = splash_attention.splash_attention_mask
    block = next(b for b in (512, 256, 128) if L % b == 0)
    fields = [f.name for f in dataclasses.fields(splash.BlockSizes)]
    sizes = splash.BlockSizes(**{f: block for f in fields if f.startswith("block_")})

    def local(q_SHLK, k_SGLK, v_SGLK, segment_SL):
        mask = masks.MultiHeadMask([masks.CausalMask((L, L))] * q_SHLK.shape[1])
        kernel = splash.make_splash_mha(
            mask, block_sizes=sizes, head_shards=1, q_seq_shards=1, interpret=interpret
        )

        def one(q, k, v, segment):
            return kernel(q, k, v, splash.SegmentIds(q=segment, kv=segment))

        return jax.vmap(one)(q_SHLK * K**-0.5, k_SGLK, v_SGLK, segment_SL)

    return local


def _triton(L: int, K: int, interpret: bool) -> Callable[..., jax.Array]:
    from jax.experimental.pallas.ops.gpu import attention

    def local(q_SHLK, k_SGLK, v_SGLK, segment_SL):
        times = q_SHLK.shape[1] // k_SGLK.shape[1]  # it knows no grouped heads
        q, k, v = (
            x.swapaxes(1, 2)
            for x in (q_SHLK, *(jnp.repeat(x, times, 1) for x in (k_SGLK, v_SGLK)))
        )
        out = attention.mha(q, k, v, segment_SL, K**-0.5, True, interpret=interpret)
        return out.swapaxes(1, 2)

    return local
