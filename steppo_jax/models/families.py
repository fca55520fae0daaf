"""HuggingFace model configurations ↔ `DecoderConfig`: Llama, Qwen2 and Qwen3.

A family is a few options of the one decoder, not another network:

  family         QKV bias   QK-norm   models
  llama          no         no        SmolLM2, Llama 2 and 3
  qwen2          yes        no        Qwen2, Qwen2.5
  qwen3          no         yes       Qwen3
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from steppo_jax.errors import Refused
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.rope import RopeScaling


class ModelError(Refused):
    """A model file or configuration that this decoder cannot run."""


@dataclasses.dataclass(frozen=True)
class Family:
    """What tells one family from another."""

    qkv_bias: bool
    qk_norm: bool
    architecture: str  # name in HuggingFace's config.json


FAMILIES = {
    "llama": Family(False, False, "LlamaForCausalLM"),
    "qwen2": Family(True, False, "Qwen2ForCausalLM"),
    "qwen3": Family(False, True, "Qwen3ForCausalLM"),
}
# Fields that would change the network, and the one value that leaves it ours.
FIXED = {
    "hidden_act": "silu",
    "mlp_bias": False,
    "attention_bias": False,
    "use_sliding_window": False,
    "pretraining_tp": 1,
}


MOST_LAYERS, MOST_SIZE = 1024, 2**31 - 1


def size(name: str, value: Any, most: int = MOST_SIZE) -> int:
    """A whole number in [1, most] from a file. Raises ModelError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        text = repr(value)[:40]
        raise ModelError(f"{name}={text}: needs a whole number from 1 to {most}")
    return value


def layers(name: str, value: Any) -> int:
    """A number of layers from a file."""
    return size(name, value, MOST_LAYERS)


def real(name: str, value: Any) -> float:
    """A positive number from a file that float32 can hold."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 1e-37 < value < 3e38:
        raise ModelError(f"{name}={repr(value)[:40]}: needs a positive number")
    return float(value)


def decoder(**fields: Any) -> DecoderConfig:
    """A decoder of these fields. Raises ModelError where they do not go together."""
    try:
        if fields["head_width"] % 2:
            raise ValueError(f"head_width={fields['head_width']} must be even for rope")
        return DecoderConfig(**fields)
    except ValueError as error:
        raise ModelError(f"{error}; restore the file") from None


def from_hf(config: Mapping[str, Any], **dtypes: Any) -> DecoderConfig:
    """The decoder of a HuggingFace `config.json`; `dtypes` go to DecoderConfig.

    Raises ModelError for another family, a missing field, or an option that the
    decoder does not have: each would change the numbers silently.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ModelError(
            f"model_type={kind!r} is not one of {', '.join(FAMILIES)}; "
            "use a checkpoint of one of these families"
        )
    for name, value in FIXED.items():
        if config.get(name, value) != value:
            raise ModelError(
                f"{name}={config[name]!r}: this decoder has {value!r} only; "
                "use another checkpoint"
            )
    try:
        heads = size("num_attention_heads", config["num_attention_heads"])
        width = size("hidden_size", config["hidden_size"])
        kv_heads = config.get("num_key_value_heads") or heads
        theta, scaling = _rope(config)
        return decoder(
            vocabulary=size("vocab_size", config["vocab_size"]),
            width=width,
            layers=layers("num_hidden_layers", config["num_hidden_layers"]),
            heads=heads,
            kv_heads=size("num_key_value_heads", kv_heads),
            head_width=size("head_dim", config.get("head_dim") or width // heads),
            mlp_width=size("intermediate_size", config["intermediate_size"]),
            positions="rope",
            rope_theta=theta,
            rope_scaling=scaling,
            qkv_bias=FAMILIES[kind].qkv_bias,
            qk_norm=FAMILIES[kind].qk_norm,
            tie_embeddings=_flag(config, "tie_word_embeddings"),
            norm_eps=real("rms_norm_eps", config["rms_norm_eps"]),
            **dtypes,
        )
    except KeyError as error:
        raise ModelError(
            f"config.json of a {kind} model has no {error}; restore the file"
        ) from None


def _flag(config: Mapping[str, Any], name: str) -> bool:
    value = config.get(name, False)
    if not isinstance(value, bool):
        raise ModelError(f"{name}={repr(value)[:40]}: needs true or false")
    return value


def _rope(config: Mapping[str, Any]) -> tuple[float, RopeScaling | None]:
    """θ and scaling; newer files keep both under `rope_parameters`."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, Mapping):
        raise ModelError(f"rope parameters {repr(rope)[:40]}: need an object")
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    theta = real("rope_theta", theta)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind != "llama3":
        raise ModelError(
            f"rope_type={kind!r}: known are default and llama3; "
            "use a checkpoint without other position scaling"
        )
    scaling = RopeScaling(
        factor=real("factor", rope["factor"]),
        low=real("low_freq_factor", rope["low_freq_factor"]),
        high=real("high_freq_factor", rope["high_freq_factor"]),
        original_positions=size(
            "original_max_position_embeddings",
            rope["original_max_position_embeddings"],
        ),
    )
    return theta, scaling


def family_of(config: DecoderConfig) -> str:
    """The family that this decoder can be stored as. Raises ModelError if none."""
    if config.positions == "rope":
        for name, family in FAMILIES.items():
            if (config.qkv_bias, config.qk_norm) == (family.qkv_bias, family.qk_norm):
                return name
    raise ModelError(
        f"positions={config.positions}, qkv_bias={config.qkv_bias}, "
        f"qk_norm={config.qk_norm} is no known family "
        f"({', '.join(FAMILIES)}); train with the options of one to export"
    )


def to_hf(config: DecoderConfig, max_positions: int = 8192) -> dict[str, Any]:
    """A `config.json` that `from_hf` and `transformers` read back as this decoder."""
    kind = family_of(config)
    out = {
        "architectures": [FAMILIES[kind].architecture],
        "model_type": kind,
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.mlp_width,
        "max_position_embeddings": max_positions,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
        "hidden_act": "silu",
        "torch_dtype": config.param_dtype,
    }
    if config.rope_scaling is not None:
        s = config.rope_scaling
        out["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": s.factor,
            "low_freq_factor": s.low,
            "high_freq_factor": s.high,
            "original_max_position_embeddings": s.original_positions,
        }
    return out
