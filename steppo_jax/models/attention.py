"""Attention behind one call, so that a platform's fused kernel is a local change."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Finite, so that a query that may look at nothing (padding) averages instead of
# turning into NaN; its output is never read.
HIDDEN = -1e30


def causal_mask(segment_SL: jax.Array) -> jax.Array:
    """[S, L, L] bool: query place (axis 1) may read key place (axis 2).

    Causal by place, inside one segment, never padding (segment 0).
    """
    places = jnp.arange(segment_SL.shape[1])
    earlier_LL = places[None, :] <= places[:, None]
    same_SLL = segment_SL[:, :, None] == segment_SL[:, None, :]
    return same_SLL & earlier_LL[None] & (segment_SL > 0)[:, None, :]


def attend(
    q_SLHK: jax.Array, k_SCGK: jax.Array, v_SCGK: jax.Array, mask_SLC: jax.Array
) -> jax.Array:
    """softmax(q·kᵀ/√K)·v with grouped key/value heads; [S, L, H, K].

    G divides H: query head h reads key head h // (H/G). Scores are float32.
    """
    S, L, H, K = q_SLHK.shape
    G = k_SCGK.shape[2]
    q_SLGRK = q_SLHK.reshape(S, L, G, H // G, K)
    score = jnp.einsum("slgrk,scgk->sgrlc", q_SLGRK, k_SCGK).astype(jnp.float32)
    score = jnp.where(mask_SLC[:, None, None], score * K**-0.5, HIDDEN)
    weight = jax.nn.softmax(score, axis=-1).astype(v_SCGK.dtype)
    return jnp.einsum("sgrlc,scgk->slgrk", weight, v_SCGK).reshape(S, L, H, K)
