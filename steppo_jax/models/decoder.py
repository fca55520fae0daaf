"""The one decoder: RMSNorm, learned or rotary positions, grouped-query attention
with optional QKV bias and QK-norm, SwiGLU.

Sampling and training call the same `Decoder.__call__`; sampling passes a KV
cache, training does not. The cache is a plain tuple of per-layer (key, value)
pairs, so a compiled loop can update it in place.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from steppo_jax import masked, placement
from steppo_jax.models import linear, lora, stacking
from steppo_jax.models.attention import KINDS, attend, causal_mask, whole
from steppo_jax.models.rope import RopeScaling, rotate

# What rematerialisation need not make again; None is nothing but a block's input.
KEPT = {"products": jax.checkpoint_policies.dots_with_no_batch_dims_saveable}
Cache = tuple[tuple[jax.Array, jax.Array], ...]  # per layer: k, v [S, G, C, K]


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Sizes and options of a decoder; every field changes the network."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    mlp_width: int
    positions: str  # "learned" or "rope"
    max_positions: int | None = None  # rows of the learned table
    rope_theta: float | None = None
    qkv_bias: bool = False
    qk_norm: bool = False
    tie_embeddings: bool = False
    norm_eps: float = 1e-6
    rope_scaling: RopeScaling | None = None
    dtype: str = "float32"  # of activations and cache; norms and softmax stay float32
    param_dtype: str = "float32"  # of the parameters as they are created
    remat: bool = False  # recompute each block in the backward pass
    remat_keep: str | None = None  # but not these of it: a name of KEPT
    scan_layers: bool = False  # one compiled block for all layers, weights stacked
    attention: str = "plain"  # of whole sequences: one of attention.KINDS
    lora_rank: int | None = None  # of adapters; None = all weights are trained
    lora_alpha: float | None = None  # adapters count lora_alpha / lora_rank times
    lora_layers: str | None = None  # which linear layers: a name of lora.LAYERS
    turned: bool = False  # kernels lie [out, in], as `linear.turn` makes them

    def __post_init__(self):
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads={self.heads} is not a multiple of kv_heads={self.kv_heads}; "
                "each key/value head serves a whole number of query heads"
            )
        needed = {"learned": "max_positions", "rope": "rope_theta"}
        if self.positions not in needed:
            raise ValueError(f"positions={self.positions!r}: known are {list(needed)}")
        if getattr(self, needed[self.positions]) is None:
            raise ValueError(
                f"positions={self.positions!r} needs {needed[self.positions]}"
            )
        if self.attention not in KINDS:
            raise ValueError(f"attention={self.attention!r}: known are {list(KINDS)}")
        if self.rope_scaling is not None and self.positions != "rope":
            raise ValueError(
                f"rope_scaling has no effect with positions={self.positions!r}; "
                "leave it None"
            )
        self._check_lora()

    def _check_lora(self):
        given = {"lora_alpha": self.lora_alpha, "lora_layers": self.lora_layers}
        for name, value in given.items():
            if (value is None) != (self.lora_rank is None):
                raise ValueError(
                    f"{name}={value!r} with lora_rank={self.lora_rank}: "
                    "give all of them or none"
                )
        if self.lora_layers not in (None, *lora.LAYERS):
            raise ValueError(
                f"lora_layers={self.lora_layers!r}: known are {list(lora.LAYERS)}"
            )

    @property
    def lora_scale(self) -> float:
        """What the product of an adapter's factors is multiplied with."""
        return self.lora_alpha / self.lora_rank

    @property
    def dtypes(self) -> dict[str, jnp.dtype]:
        """What every layer is told: dtype of its work, dtype of its parameters."""
        return {
            "dtype": jnp.dtype(self.dtype),
            "param_dtype": jnp.dtype(self.param_dtype),
        }


class Attention(nn.Module):
    config: DecoderConfig

    @nn.compact
    def __call__(self, x_SLD, position_SL, mask_SLC, cache, place):
        c = self.config

        def project(heads: int, name: str):
            shape = (heads, c.head_width)
            y = linear.layer(
                c.turned, shape, use_bias=c.qkv_bias, name=name, **c.dtypes
            )(x_SLD)
            return lora.adapted(c, name, x_SLD, y)

        q, k = project(c.heads, "query"), project(c.kv_heads, "key")
        v = project(c.kv_heads, "value")
        if c.qk_norm:
            q = nn.RMSNorm(c.norm_eps, name="query_norm", **c.dtypes)(q)
            k = nn.RMSNorm(c.norm_eps, name="key_norm", **c.dtypes)(k)
        if c.positions == "rope":
            q = rotate(q, position_SL, c.rope_theta, c.rope_scaling)
            k = rotate(k, position_SL, c.rope_theta, c.rope_scaling)
        # Heads before places, as `attend` wants them, so that decoding copies nothing.
        k, v = k.swapaxes(1, 2), v.swapaxes(1, 2)
        if cache is not None:
            k, v = write(cache[0], k, place), write(cache[1], v, place)
        if mask_SLC.ndim == 2:  # segments: no table of who reads whom is made
            out = whole(c.attention, q, k, v, mask_SLC)
        else:
            out = attend(q, k, v, mask_SLC)
        # Scaled down with depth so the residual stream keeps its size at the start.
        init = nn.initializers.variance_scaling(
            1 / (2 * c.layers), "fan_in", "truncated_normal"
        )
        y = linear.layer(
            c.turned,
            c.width,
            axes=2,
            use_bias=False,
            kernel_init=init,
            name="out",
            **c.dtypes,
        )(out)
        return lora.adapted(c, "out", out, y), (k, v)


class SwiGLU(nn.Module):
    config: DecoderConfig

    @nn.compact
    def __call__(self, x_SLD):
        c = self.config

        def widened(name: str):
            y = linear.layer(
                c.turned, c.mlp_width, use_bias=False, name=name, **c.dtypes
            )(x_SLD)
            return lora.adapted(c, name, x_SLD, y)

        gate, up = widened("gate"), widened("up")
        init = nn.initializers.variance_scaling(
            1 / (2 * c.layers), "fan_in", "truncated_normal"
        )
        down = linear.layer(
            c.turned,
            c.width,
            use_bias=False,
            kernel_init=init,
            name="down",
            **c.dtypes,
        )
        h = nn.silu(gate) * up
        return lora.adapted(c, "down", h, down(h))


class Block(nn.Module):
    config: DecoderConfig

    @nn.compact
    def __call__(self, x_SLD, position_SL, mask_SLC, cache, place):
        c = self.config

        def norm(name: str):
            return nn.RMSNorm(c.norm_eps, name=name, **c.dtypes)(x_SLD)

        h, kv = Attention(c, name="attention")(
            norm("attention_norm"), position_SL, mask_SLC, cache, place
        )
        x_SLD = x_SLD + h
        h = SwiGLU(c, name="mlp")(norm("mlp_norm"))
        return x_SLD + h, kv


class Decoder(nn.Module):
    """Tokens to hidden states."""

    config: DecoderConfig

    def setup(self):
        c = self.config
        init = nn.initializers.normal(0.5)
        self.embedding = nn.Embed(
            c.vocabulary, c.width, embedding_init=init, **c.dtypes
        )
        if c.positions == "learned":
            self.position_table = nn.Embed(
                c.max_positions, c.width, embedding_init=init, **c.dtypes
            )
        block = _block(c)
        self.blocks = [block(c, name=f"block_{i}") for i in range(c.layers)]
        self.final_norm = nn.RMSNorm(c.norm_eps, **c.dtypes)

    def __call__(
        self,
        token_SL: jax.Array,
        position_SL: jax.Array,
        segment_SL: jax.Array | None = None,
        *,
        cache: Cache | None = None,
        place: jax.Array | None = None,
        mask_SLC: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        """Hidden states [S, L, D] after the final norm; keys and values by layer.

        Whole sequences: give `segment_SL`; the returned cache holds the L places.
        With a cache: give `cache` (capacity C), the `place` ([] or [S]) at which the
        L tokens are written, and `mask_SLC`, which cached places each may read.
        """
        if cache is None:
            # One place has no scores to speak of: so networks are initialised.
            plain = self.config.attention == "plain" or token_SL.shape[1] == 1
            mask_SLC = causal_mask(segment_SL) if plain else segment_SL
        x_SLD = self.embedding(token_SL)
        if self.config.positions == "learned":
            x_SLD = x_SLD + self.position_table(position_SL)
        x_SLD, written = placement.spread(x_SLD), []
        if self.config.scan_layers and cache is None and not self.is_initializing():
            x_SLD, written = self._scanned(x_SLD, position_SL, mask_SLC)
            return self.final_norm(x_SLD), written
        for i, block in enumerate(self.blocks):
            layer = None if cache is None else cache[i]
            x_SLD, kv = block(x_SLD, position_SL, mask_SLC, layer, place)
            x_SLD = placement.spread(x_SLD)
            written.append(kv)
        return self.final_norm(x_SLD), tuple(written)

    def _scanned(self, x_SLD, position_SL, mask_SLC) -> tuple[jax.Array, Cache]:
        """All blocks by one loop: compiled once, whatever the depth.

        Weights that are not stacked yet (`models.stacking`) are stacked for it, a copy.
        """
        c = self.config
        stacked = {
            kind: tree[placement.LAYERS]
            for kind, tree in self.variables.items()
            if placement.LAYERS in tree
        } or stacking.one([dict(block.variables) for block in self.blocks])
        one = _block(c)(c, parent=None)

        def layer(x_SLD, variables):
            x_SLD, kv = one.apply(variables, x_SLD, position_SL, mask_SLC, None, None)
            return placement.spread(x_SLD), kv

        x_SLD, kv = jax.lax.scan(layer, x_SLD, stacked)
        return x_SLD, tuple((kv[0][i], kv[1][i]) for i in range(c.layers))

    def unembed(self, x_SLD: jax.Array) -> jax.Array:
        """Logits with the transposed embedding (tied), summed in float32."""
        table_VD = self.embedding.embedding.astype(x_SLD.dtype)
        rows = x_SLD.shape[:-1]
        flat = x_SLD.reshape(-1, x_SLD.shape[-1])
        return linear.times(flat, table_VD, masked.real()).reshape(*rows, -1)


def _block(config: DecoderConfig) -> type[Block]:
    if not config.remat:
        return Block
    return nn.remat(Block, policy=KEPT.get(config.remat_keep))


def write(cache_SGCK: jax.Array, new_SGLK: jax.Array, place: jax.Array) -> jax.Array:
    """The cache with L new places from `place` on: [] for all rows, or [S]."""
    if jnp.ndim(place) == 0:
        return jax.lax.dynamic_update_slice_in_dim(cache_SGCK, new_SGLK, place, axis=2)

    def one(cache_GCK, new_GLK, place):
        return jax.lax.dynamic_update_slice_in_dim(cache_GCK, new_GLK, place, axis=1)

    where = (placement.CACHE, placement.CACHE, placement.ROWS)
    put = placement.by_piece(jax.vmap(one), where, placement.CACHE)
    return put(cache_SGCK, new_SGLK, place)


def empty_cache(config: DecoderConfig, sequences: int, capacity: int) -> Cache:
    """Zeros with room for `capacity` places of `sequences` sequences."""
    shape = (sequences, config.kv_heads, capacity, config.head_width)
    dtype = jnp.dtype(config.dtype)
    return tuple(
        (jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in range(config.layers)
    )


def grow(cache: Cache, capacity: int) -> Cache:
    """The cache with room for `capacity` places."""

    def pad(x):
        return jnp.pad(x, ((0, 0), (0, 0), (0, capacity - x.shape[2]), (0, 0)))

    return jax.tree.map(pad, cache)
