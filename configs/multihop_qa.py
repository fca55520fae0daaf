"""Multi-hop questions with search, after HotpotQA, on the device.

    python -m experiments.train --config=configs/multihop_qa.py:steppo --workdir=DIR
    python -m experiments.train --config=configs/multihop_qa.py:ppo,smoke --workdir=DIR

What the presets reach stands in docs/environments.md. `smoke` runs in seconds and
learns nothing.
"""

from __future__ import annotations

import ml_collections

from configs import common

FIELDS = {
    "env.max_steps": 5,
    "env.think_tokens": 0,  # slots then stand at fixed distances; copying is learned
    "env.on_time_limit": "terminal",  # "within 5 steps" is part of the task
    "model.tie_embeddings": True,  # a word read is a word said
    "model.mlp_width": 64,
    "iterations": 160,
    "warm_start.success": 0.1,
    "warm_start.check_every": 2,  # success leaps once names are copied
    "warm_start.expert_noise": 0.05,
    "warm_start.learning_rate": 3e-3,
}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,smoke][,FIELD=VALUE …]`; see configs/common.py."""
    return common.build("multihop_qa", arg, fields=FIELDS)
