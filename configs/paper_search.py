"""Paper search after PaSa, on the device: search, expand citations, collect.

    python -m experiments.train --config=configs/paper_search.py:steppo --workdir=DIR
    python -m experiments.train --config=configs/paper_search.py:grpo --workdir=DIR
    python -m experiments.train --config=configs/paper_search.py:ppo,smoke --workdir=DIR

What the presets reach stands in docs/environments.md. `smoke` runs in seconds and
learns nothing.
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
