"""Discount on household: γ × λ, per step and per token.

    python -m experiments.ablate --config=configs/ablations/discount.py --workdir=DIR

The paper varies γ only (.99 and .95). All cells have the token's ratio, so that credit
alone differs. Two shapes, so two sets of programs for 24 cells.
"""

from __future__ import annotations

from configs.ablations import common
from configs.ablations.credit_ratio import TOKEN_RATIO
from steppo_jax.ablation.grid import Ablation

GAMMAS, LAMS = ("1.0", "0.99", "0.95", "0.9"), ("0.95", "0.8", "1.0")
METHODS = {"step": f"steppo,{TOKEN_RATIO}", "token": f"ppo,{TOKEN_RATIO}"}
CELLS = {
    f"{credit}-gamma-{gamma}-lam-{lam}": (
        f"household:{method},credit.gamma={gamma},credit.lam={lam}"
    )
    for credit, method in METHODS.items()
    for gamma in GAMMAS
    for lam in LAMS
}

FEW = [
    f"{c}-gamma-{g}-lam-0.95" for c in METHODS for g in ("0.99", "0.95")
]  # of the smoke form


def get_config(arg: str = "") -> Ablation:
    """The grid; see configs/ablations/common.py."""
    return common.build("discount", arg, CELLS, every="iterations=60", smoke=FEW)
