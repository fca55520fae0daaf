"""ALFWorld in its own engine (TextWorld), played in text: six task families.

    pip install 'steppo_jax[alfworld]'
    python -m experiments.train --workdir=DIR \\
        --config=configs/alfworld.py:steppo,model=smollm2_135m
    ALFWORLD_DATA=DATA python -m experiments.train --workdir=DIR \\
        --config=configs/alfworld.py:steppo,paper,model=qwen3_4b

Games are generated from what the package ships (env.variant=generated): what is
reached on them are results on ALFWorld-engine tasks, not on ALFWorld. `paper` plays the
official game files (docs/hosts.md) with the paper's numbers: 20 steps, 140 seen and 134
unseen games, tool calls.
"""

from __future__ import annotations

import ml_collections

from configs import hosts

FIELDS = {
    "env.variant": "generated",
    "env.max_steps": 20,
    "host.workers": 32,  # as many as a small model has slots; 100 MiB each when started
}
PAPER = {"env.variant": "official", "env.max_steps": 20, "iterations": 200}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for an argument string; see configs/common.py."""
    return hosts.build("alfworld", arg, fields=FIELDS, paper=PAPER)
