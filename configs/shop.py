"""Shopping after WebShop, on the device: search, open, choose options, buy.

    python -m experiments.train --config=configs/shop.py:steppo --workdir=DIR
    python -m experiments.train --config=configs/shop.py:grpo --workdir=DIR \\
        --config.seed=1 --config.rollout.groups=16
    python -m experiments.train --config=configs/shop.py:ppo,smoke --workdir=DIR

Measured on two busy CPU cores with `steppo`, seed 0: the warm start reaches 10 %
after 260 cloning updates (12 % of the seen panel, 8 % of the unseen one). Within
the first 8 iterations success did not move; longer runs have not been measured.
`smoke` runs in seconds and learns nothing.
"""

from __future__ import annotations

import ml_collections

from configs import common

FIELDS = {
    "env.max_steps": 15,
    "env.think_tokens": 4,
    "env.on_time_limit": "terminal",  # "within 15 steps" is part of the task
}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,smoke][,FIELD=VALUE …]`; see configs/common.py."""
    return common.build("shop", arg, fields=FIELDS)
