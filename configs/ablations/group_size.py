"""Group size on household: 64 episodes per iteration as many tasks or as many tries.

python -m experiments.ablate --config=configs/ablations/group_size.py --workdir=DIR
"""

from __future__ import annotations

from configs.ablations import common
from steppo_jax.ablation.grid import Ablation

EPISODES = 64
SIZES = {"steppo": (1, 2, 4, 8, 16), "grpo": (2, 4, 8, 16), "gigpo": (2, 4, 8, 16)}
CELLS = {
    f"{method}-{size}": (
        f"household:{method},rollout.groups={EPISODES // size},"
        f"rollout.group_size={size}"
    )
    for method, sizes in SIZES.items()
    for size in sizes
}

FEW = ["steppo-1", "grpo-8", "gigpo-16"]  # of the smoke form


def get_config(arg: str = "") -> Ablation:
    """The grid; see configs/ablations/common.py."""
    return common.build("group_size", arg, CELLS, every="iterations=60", smoke=FEW)
