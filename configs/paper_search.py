"""Paper search after PaSa, on the device: search, expand citations, collect.

    python -m experiments.train --config=configs/paper_search.py:steppo --workdir=DIR
    python -m experiments.train --config=configs/paper_search.py:grpo --workdir=DIR
    python -m experiments.train --config=configs/paper_search.py:ppo,smoke --workdir=DIR

Measured with seed 0 and `--config.devices=1` on a busy CPU, in success on the
(seen, unseen) panels of 512 tasks: the warm start reaches (.16, .15), 80 iterations
take `steppo` to (.82, .81) and `ppo` to (.80, .81) in under five and four CPU-minutes,
110 take `grpo` to (.66, .63) in three and a half. The scripted expert has .97,
random well-formed play .03. `smoke` runs in seconds and learns nothing.
"""

from __future__ import annotations

import ml_collections

from configs import common

FIELDS = {
    "iterations": 110,
    "env.max_steps": 5,
    "env.think_tokens": 4,
    "env.on_time_limit": "terminal",  # "within 5 steps" is part of the task
    "model.tie_embeddings": True,  # words of the query are copied into searches
    "warm_start.success": 0.15,
}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,smoke][,FIELD=VALUE …]`; see configs/common.py."""
    return common.build("paper_search", arg, fields=FIELDS)
