"""ScienceWorld in its own simulator, played in text: thirty science tasks.

    pip install 'steppo_jax[scienceworld]'
    python -m experiments.train --workdir=DIR \\
        --config=configs/scienceworld.py:steppo,model=smollm2_135m
    … --config=configs/scienceworld.py:grpo,model=DIR,env.variant=boil

It needs a model, Java and the package. `paper` sets the numbers of the official code of
CAPO, the only one with this environment: at most 30 steps, tool calls; no results were
published.
"""

from __future__ import annotations

import ml_collections

from configs import hosts

FIELDS = {
    "env.variant": "all",
    "env.max_steps": 30,
    "critic.scale": 10.0,  # what a success pays
    "eval.panels": ("dev", "test"),
    "host.reset_seconds": 120.0,  # the longest gold paths take a while to find
}
PAPER = {"env.variant": "all", "env.max_steps": 30, "iterations": 200}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for an argument string; see configs/common.py."""
    return hosts.build("scienceworld", arg, fields=FIELDS, paper=PAPER)
