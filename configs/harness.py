"""Programs outside that play through the gateway, whatever their tasks are.

    pip install 'steppo_jax[lm,gateway]'
    python -m experiments.gateway --workdir=DIR \\
        --config=configs/harness.py:grpo,model=smollm2_135m

Every trajectory is opened, paid and closed by the program that plays it
(docs/gateway.md), so nothing is evaluated here and nobody's expert is cloned.
"""

from __future__ import annotations

import ml_collections

from configs import common

FIELDS = {
    "env.think_tokens": 0,  # thoughts are free in text
    "env.max_steps": 20,
    "env.on_time_limit": "terminal",
    "eval.panels": ("none",),
    "warm_start.success": 0.0,
    "warm_start.expert_noise": 0.2,
    "gateway.staleness": 0,
    "gateway.idle_seconds": 600.0,
    "gateway.calls": 256,
}
OVER_MODEL = {
    **common.cold(),
    "warm_start.success": 0.0,
    "lm.rules": True,
    "lm.max_prompt": 1024,
    "lm.max_new": 64,
}


def get_config(arg: str = "grpo") -> ml_collections.ConfigDict:
    """The configuration for an argument string; see configs/common.py."""
    return common.build("harness", arg, fields=FIELDS, over_model=OVER_MODEL)
