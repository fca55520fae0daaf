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

from configs import hosts

FIELDS = {
    "env.max_steps": 5,
    "env.relevance": "answers",
    "critic.scale": 3.0,  # what a good call pays
    "eval.panels": ("real",),
}
PAPER = {"iterations": 200}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for an argument string; see configs/common.py."""
    return hosts.build(
        "paper_search_real", arg, fields=FIELDS, paper=PAPER, lengths=(10_240, 4096)
    )
