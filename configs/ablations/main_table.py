"""The main table: four environments × the methods of the paper's, as the presets are.

    python -m experiments.ablate --config=configs/ablations/main_table.py \\
        --workdir=DIR
    python -m experiments.ablate --config=configs/ablations/main_table.py \\
        --workdir=DIR --cells=shop-steppo,shop-ppo --seeds=0,1,2

A night on two cores; docs/ablations.md has the minutes per cell.
"""

from __future__ import annotations

from configs.ablations import common
from steppo_jax.ablation.grid import Ablation

ENVIRONMENTS = ("household", "multihop_qa", "shop", "paper_search")
METHODS = ("steppo", "ppo", "grpo", "gigpo", "rloo", "gspo", "reinforce_pp")
CELLS = {
    f"{environment}-{method}": f"{environment}:{method}"
    for environment in ENVIRONMENTS
    for method in METHODS
}

FEW = [
    "household-steppo",
    "multihop_qa-ppo",
    "shop-grpo",
    "paper_search-gigpo",
]  # of the smoke form


def get_config(arg: str = "") -> Ablation:
    """The grid; see configs/ablations/common.py."""
    return common.build("main_table", arg, CELLS, smoke=FEW)
