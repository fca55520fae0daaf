"""The paper's size, for `experiments.compile_check`: shapes without weights.

    python -m experiments.compile_check --topology=v5p:4x4x4 \\
        --config=configs/paper_scale.py:qwen3_4b
    python -m experiments.compile_check --topology=v6e:16x16 \\
        --config=configs/paper_scale.py:qwen3_4b --config.parallel.fsdp=128 \\
        --config.parallel.tensor=2
    python -m experiments.compile_check --topology=v5p:8x8x8 \\
        --config=configs/paper_scale.py:llama3_70b --config.parallel.fsdp=128 \\
        --config.parallel.tensor=4

128 trajectories × 20 steps, prompts of 8,192 and responses of 4,096 tokens, a critic of
the policy's size. What makes it fit: `parallel.fsdp`, `model.remat`, bfloat16
activations and attention without scores. docs/pod.md has what each topology needs.
"""

from __future__ import annotations

import ml_collections

from configs import common, models
from steppo_jax import settings
from steppo_jax.ahead import SHAPES
from steppo_jax.models.sizes import SIZES

FIELDS = {
    "env.max_steps": 20,
    "env.think_tokens": 0,
    "env.on_time_limit": "terminal",
    "lm.rules": True,
    "lm.max_prompt": 8192,
    "lm.max_new": 4096,
    "lm.slots": 128,
    "learner.minibatches": 1,
    "learner.microbatch": 1,
    "warm_start.success": 0.0,
    "model.dtype": "bfloat16",
    "model.remat": True,
    "model.attention": "splash",
    "model.scan_layers": True,
    "parallel.kind": "mesh",
    "parallel.data": 1,
    "parallel.fsdp": 64,
    "parallel.tensor": 1,
}
METHOD = "steppo"
TRAJECTORIES = ("rollout.groups=128", "rollout.group_size=1")  # the method has fewer


def get_config(arg: str = "qwen3_4b") -> ml_collections.ConfigDict:
    """The configuration for `NAME[,FIELD=VALUE …]`, NAME one of models.sizes."""
    name, *words = arg.split(",")
    if name not in SIZES:
        raise settings.ConfigError(
            f"config argument {name!r} in {arg!r} is unknown; known sizes are "
            f"{', '.join(SIZES)}"
        )
    sizes = {f"model.{size}": getattr(SIZES[name], size) for size in models.SIZES}
    fields = FIELDS | sizes | {"lm.weights": f"{SHAPES}{name}"}
    return common.build(
        "household", ",".join([METHOD, *TRAJECTORIES, *words]), fields=fields
    )
