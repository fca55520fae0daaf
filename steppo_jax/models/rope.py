"""Rotary positions, and the stretched frequencies of Llama 3.1 and later."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from steppo_jax import masked


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """Long wavelengths are stretched by `factor`, short ones stay (Llama 3.1).

    With w the wavelength and C = `original_positions`: w < C/`high` stays,
    w > C/`low` is stretched, between them the two are blended linearly in C/w
    (arXiv 2407.21783 §3.4 names the method, the released model code the blend).
    """

    factor: float
    low: float
    high: float
    original_positions: int

    def __call__(self, frequency: jax.Array) -> jax.Array:
        turns = self.original_positions * frequency / (2 * math.pi)  # C/w
        share = jnp.clip((turns - self.low) / (self.high - self.low), 0.0, 1.0)
        return frequency * (share + (1 - share) / self.factor)


def rotate(
    x_SLHK: jax.Array,
    position_SL: jax.Array,
    theta: float,
    scaling: RopeScaling | None = None,
) -> jax.Array:
    """Rotary embedding (arXiv 2104.09864), halves paired: (x₁,x₂)·R(pos·θ^(−2i/K)).

    Angles are float32 whatever x is: bfloat16 cannot tell position 256 from 257.
    """
    half = x_SLHK.shape[-1] // 2
    frequency = theta ** (-jnp.arange(half, dtype=masked.real()) / half)
    if scaling is not None:
        frequency = scaling(frequency)
    angle = position_SL[..., None].astype(masked.real()) * frequency[None, None]
    cos, sin = jnp.cos(angle)[:, :, None], jnp.sin(angle)[:, :, None]
    a, b = (x.astype(masked.real()) for x in (x_SLHK[..., :half], x_SLHK[..., half:]))
    out = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
    return out.astype(x_SLHK.dtype)
