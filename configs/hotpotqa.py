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

from configs import hosts

FIELDS = {
    "env.max_steps": 5,
    "env.retriever": "bm25",
    "env.top": 2,  # passages: a short prompt for a small model; the paper's 5
    "eval.panels": ("validation",),
}
PAPER = {"iterations": 200, "env.top": 5}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for an argument string; see configs/common.py."""
    return hosts.build(
        "hotpotqa",
        arg,
        fields=FIELDS,
        paper=PAPER,
        lengths=(10_240, 1024),
        trajectories=256,
    )
