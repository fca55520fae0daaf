"""WebShop as text, played by a language model (docs/host_data.md).

    python -m experiments.train --workdir=DIR \\
        --config=configs/webshop.py:steppo,model=smollm2_135m
    … --config=configs/webshop.py:steppo,paper,model=qwen3_4b

Without the official files (`env.data`, or WEBSHOP_DATA) it is played on a generated
catalogue. `paper` has the paper's settings, `smoke` runs in seconds and learns nothing.
"""

from __future__ import annotations

import ml_collections

from configs import common, paper

FIELDS = {
    "env.max_steps": 15,
    "env.think_tokens": 0,  # thoughts are free in text
    "env.on_time_limit": "terminal",  # "within 15 steps" is part of the task
    "critic.scale": 10.0,  # what a full success pays
    "eval.panels": ("test",),
}
PRESETS = {"paper": paper.preset(trajectories=128, max_prompt=8192, max_new=4096)}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,paper][,smoke][,model=MODEL][,FIELD=VALUE …]`."""
    return common.build("webshop", arg, fields=FIELDS, presets=PRESETS)
