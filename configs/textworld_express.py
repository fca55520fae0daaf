"""TextWorldExpress: eight fast text games in their own simulator, played in text.

    pip install 'steppo_jax[textworld-express]'
    python -m experiments.train --workdir=DIR \\
        --config=configs/textworld_express.py:steppo,model=smollm2_135m
    … --config=configs/textworld_express.py:grpo,model=DIR,env.variant=cookingworld

It needs a model, Java and the package (docs/hosts.md). The paper does not have this
environment, so there is no word `paper`.
"""

from __future__ import annotations

import ml_collections

from configs import hosts

FIELDS = {
    "env.variant": "coin",  # the game that a small model learns first
    "env.max_steps": 12,
    "eval.panels": ("dev", "test"),
    "host.step_seconds": 30.0,
}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for an argument string; see configs/common.py."""
    return hosts.build("textworld_express", arg, fields=FIELDS)
