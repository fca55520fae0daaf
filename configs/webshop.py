"""WebShop as text, played by a language model (docs/host_data.md).

    python -m experiments.train --workdir=DIR \\
        --config=configs/webshop.py:steppo,model=smollm2_135m
    … --config=configs/webshop.py:steppo,paper,model=qwen3_4b

Without the official files (`env.data`, or WEBSHOP_DATA) it is played on a generated
catalogue. `paper` has the paper's settings, `smoke` runs in seconds and learns nothing.
"""

from __future__ import annotations

import ml_collections

from configs import hosts

FIELDS = {
    "env.max_steps": 15,
    "env.retriever": "bm25",
    "env.history": 2,
    "critic.scale": 10.0,  # what a full success pays
    "eval.panels": ("test",),
}
PAPER = {"iterations": 200}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for an argument string; see configs/common.py."""
    return hosts.build("webshop", arg, fields=FIELDS, paper=PAPER)
