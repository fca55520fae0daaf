"""Paper search over real queries, played by a language model (docs/host_data.md).

    python -m experiments.train --workdir=DIR \\
        --config=configs/paper_search_real.py:steppo,model=smollm2_135m
    … --config=configs/paper_search_real.py:steppo,paper,model=qwen3_4b

Without the files of PaSa (`env.data`, or PAPER_SEARCH_DATA) it is played on a generated
literature. `paper` has the paper's settings, `smoke` runs in seconds and learns
nothing.
"""

from __future__ import annotations

import ml_collections

from configs import common, paper

FIELDS = {
    "env.max_steps": 5,
    "env.think_tokens": 0,  # thoughts are free in text
    "env.on_time_limit": "terminal",  # "within 5 steps" is part of the task
    "critic.scale": 3.0,  # what a good call pays
    "eval.panels": ("real",),
}
PRESETS = {"paper": paper.preset(trajectories=128, max_prompt=10240, max_new=4096)}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,paper][,smoke][,model=MODEL][,FIELD=VALUE …]`."""
    return common.build("paper_search_real", arg, fields=FIELDS, presets=PRESETS)
