"""Attention behind one call, so that a platform's fused kernel is a local change.

`attend` is for a cache, and for whole sequences whose scores are small. For long ones
`whole` never holds the scores [L, L]: `blocks` makes them for a few queries at a time
on any platform (and again in the backward pass), the others are fused kernels.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.models import kernels

KINDS = ("plain", "blocks", *kernels.MULTIPLES)
QUERIES = 256  # of a block
FEW = 16  # rows up to which the cached keys are the left operand, see `models.linear`
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
    q_SLHK: jax.Array, k_SGCK: jax.Array, v_SGCK: jax.Array, mask_SLC: jax.Array
) -> jax.Array:
    """softmax(q·kᵀ/√K)·v with grouped key/value heads; [S, L, H, K].

    G divides H: query head h reads key head h // (H/G). Scores are float32. Keys and
    values come with heads before places: plain batched matrix products without a
    copy of the cache, and the queries of a group as more rows of the same product.
    """
    S, L, H, K = q_SLHK.shape
    G, C = k_SGCK.shape[1:3]
    rows = (H // G) * L
    q_SGRK = q_SLHK.transpose(0, 2, 1, 3).reshape(S, G, rows, K)
    summed = functools.partial(jnp.einsum, preferred_element_type=masked.real())
    if rows > FEW:
        score = summed("sgrk,sgck->sgrc", q_SGRK, k_SGCK)
    else:  # the barrier keeps XLA from turning the product back
        score = jax.lax.optimization_barrier(summed("sgck,sgrk->sgcr", k_SGCK, q_SGRK))
        score = score.swapaxes(2, 3)
    score = score.reshape(S, H, L, C)
    score = jnp.where(mask_SLC[:, None], score * K**-0.5, HIDDEN)
    weight = jax.nn.softmax(score, axis=-1).astype(v_SGCK.dtype)
    out = jnp.einsum("sgrc,sgck->sgrk", weight.reshape(S, G, rows, C), v_SGCK)
    return out.reshape(S, H, L, K).transpose(0, 2, 1, 3)


def whole(
    kind: str,
    q_SLHK: jax.Array,
    k_SGLK: jax.Array,
    v_SGLK: jax.Array,
    segment_SL: jax.Array,
) -> jax.Array:
    """As `attend` under `causal_mask(segment_SL)`, without scores [L, L]."""
    if kind in kernels.MULTIPLES:
        return kernels.fused(kind, q_SLHK, k_SGLK, v_SGLK, segment_SL)
    S, L, H, K = q_SLHK.shape
    block = min(QUERIES, L)
    pad = -L % block
    q_SLHK = jnp.pad(q_SLHK, ((0, 0), (0, pad), (0, 0), (0, 0)))
    of_query_SL = jnp.pad(segment_SL, ((0, 0), (0, pad)))
    place_L = jnp.arange(L)

    @jax.checkpoint
    def some(start: jax.Array) -> jax.Array:
        q = jax.lax.dynamic_slice_in_dim(q_SLHK, start, block, axis=1)
        mine = jax.lax.dynamic_slice_in_dim(of_query_SL, start, block, axis=1)
        earlier = place_L[None] <= (start + jnp.arange(block))[:, None]
        mask = (mine[:, :, None] == segment_SL[:, None]) & earlier[None]
        return attend(q, k_SGLK, v_SGLK, mask & (segment_SL > 0)[:, None])

    out_nSbHK = jax.lax.map(some, jnp.arange(0, L + pad, block))
    return out_nSbHK.swapaxes(0, 1).reshape(S, L + pad, H, K)[:, :L]
