"""Published models by name, as the decoders they are (from their config.json)."""

from __future__ import annotations

from steppo_jax.models.decoder import DecoderConfig


def sized(
    vocabulary, width, layers, heads, kv_heads, head_width, mlp_width, theta, **options
) -> DecoderConfig:
    """A decoder with rotary positions, and tied embeddings as most of these have."""
    return DecoderConfig(
        vocabulary=vocabulary,
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        mlp_width=mlp_width,
        positions="rope",
        rope_theta=theta,
        **{"tie_embeddings": True, **options},
    )


_LLAMA = {"norm_eps": 1e-5}
_QWEN2, _QWEN3 = {"qkv_bias": True}, {"qk_norm": True}
SIZES = {
    "smollm2_135m": sized(49152, 576, 30, 9, 3, 64, 1536, 1e5, **_LLAMA),
    "smollm2_360m": sized(49152, 960, 32, 15, 5, 64, 2560, 1e5, **_LLAMA),
    "llama3_2_1b": sized(128256, 2048, 16, 32, 8, 64, 8192, 5e5, **_LLAMA),
    "llama3_70b": sized(
        128256, 8192, 80, 64, 8, 128, 28672, 5e5, **_LLAMA, tie_embeddings=False
    ),
    "qwen2_5_0_5b": sized(151936, 896, 24, 14, 2, 64, 4864, 1e6, **_QWEN2),
    "qwen2_5_3b": sized(151936, 2048, 36, 16, 2, 128, 11008, 1e6, **_QWEN2),
    "qwen3_0_6b": sized(151936, 1024, 28, 16, 8, 128, 3072, 1e6, **_QWEN3),
    "qwen3_1_7b": sized(151936, 2048, 28, 16, 8, 128, 6144, 1e6, **_QWEN3),
    "qwen3_4b": sized(151936, 2560, 36, 32, 8, 128, 9728, 5e6, **_QWEN3),
}
