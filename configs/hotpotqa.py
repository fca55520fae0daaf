"""HotpotQA with search, played by a language model (docs/host_data.md).

    python -m experiments.train --workdir=DIR \\
        --config=configs/hotpotqa.py:steppo,model=smollm2_135m
    … --config=configs/hotpotqa.py:steppo,paper,model=qwen3_4b

Without the official files (`env.data`, or HOTPOTQA_DATA) it is played on a generated
corpus. Panels `2wiki` and `musique` are out of domain. `paper` has the paper's
settings, `smoke` runs in seconds and learns nothing.
"""

from __future__ import annotations

import ml_collections

from configs import common, paper

FIELDS = {
    "env.max_steps": 5,
    "env.think_tokens": 0,  # thoughts are free in text
    "env.on_time_limit": "terminal",  # "within 5 steps" is part of the task
    "eval.panels": ("validation",),
}
PRESETS = {"paper": paper.preset(trajectories=256, max_prompt=10240, max_new=1024)}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,paper][,smoke][,model=MODEL][,FIELD=VALUE …]`."""
    return common.build("hotpotqa", arg, fields=FIELDS, presets=PRESETS)
