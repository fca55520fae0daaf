"""Episode length on household: the task's limit of steps, by method.

    python -m experiments.ablate --config=configs/ablations/episode_length.py \\
        --workdir=DIR

The limit is part of the task, so a cell's success is within that many steps; compare
methods at equal limits, not limits with each other.
"""

from __future__ import annotations

from configs.ablations import common
from steppo_jax.ablation.grid import Ablation

STEPS = (10, 20, 40)
METHODS = ("steppo", "ppo", "grpo")
CELLS = {
    f"{method}-{steps}": f"household:{method},env.max_steps={steps}"
    for steps in STEPS
    for method in METHODS
}

FEW = ["steppo-10", "ppo-20", "grpo-40"]  # of the smoke form


def get_config(arg: str = "") -> Ablation:
    """The grid; see configs/ablations/common.py."""
    return common.build("episode_length", arg, CELLS, every="iterations=60", smoke=FEW)
