"""Shopping after WebShop, on the device: search, open, choose options, buy.

    python -m experiments.train --config=configs/shop.py:steppo --workdir=DIR
    python -m experiments.train --config=configs/shop.py:grpo --workdir=DIR \\
        --config.seed=1 --config.rollout.groups=16
    python -m experiments.train --config=configs/shop.py:ppo,smoke --workdir=DIR

`smoke` runs in seconds and learns nothing. What the presets reach stands in
docs/environments.md.
"""

from __future__ import annotations

import ml_collections

from configs import common

FIELDS = {
    "env.max_steps": 15,
    "env.think_tokens": 0,  # slots then stand at fixed distances; copying is learned
    "env.on_time_limit": "terminal",  # "within 15 steps" is part of the task
    "model.tie_embeddings": True,  # a word read is a word said
    "critic.scale": 10.0,  # what a full success pays
    "iterations": 120,
    "warm_start.success": 0.2,  # from .13, 80 iterations reached .43
    "warm_start.check_every": 5,  # success leaps once words are copied
    "warm_start.learning_rate": 3e-3,
}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,smoke][,FIELD=VALUE …]`; see configs/common.py."""
    return common.build("shop", arg, fields=FIELDS)
