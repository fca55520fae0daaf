"""Household tasks after ALFWorld, on the device: six families, twenty steps.

    python -m experiments.train --config=configs/household.py:steppo --workdir=DIR
    python -m experiments.train --config=configs/household.py:grpo --workdir=DIR \\
        --config.seed=1 --config.rollout.groups=16
    … --config=configs/household.py:steppo,packed --workdir=DIR
    python -m experiments.train --config=configs/household.py:ppo,smoke --workdir=DIR

What it reaches stands in docs/environments.md. `smoke` runs in seconds and learns
nothing. `packed` lays two steps into one sequence (docs/pod.md).
"""

from __future__ import annotations

import ml_collections

from configs import common

FIELDS = {
    "env.max_steps": 20,
    "env.think_tokens": 4,
    "env.on_time_limit": "terminal",  # "within 20 steps" is part of the task
    "iterations": 120,
    "policy.learning_rate": 5e-4,  # at 1e-3 seed 1 fell back again and again
    "learner.minibatches": 8,
    "warm_start.success": 0.2,  # at .1 some families never succeed, nor learn
}
# Steps have 42 to 51 tokens, 47 or 48 mostly: two of them, and little more. A slice has
# as many tokens as one of rows.
PACKED = {"learner.layout": "packed", "learner.width": 98, "learner.microbatch": 8}


def get_config(arg: str = "steppo") -> ml_collections.ConfigDict:
    """The configuration for `METHOD[,packed][,smoke][,FIELD=VALUE …]`.

    See configs/common.py.
    """
    return common.build(
        "household", arg, fields=FIELDS, own={"packed": lambda _: PACKED}
    )
