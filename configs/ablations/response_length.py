"""Response length on household: token against step credit as thoughts grow longer.

    python -m experiments.ablate --config=configs/ablations/response_length.py \\
        --workdir=DIR

A discount per token is another one per step when responses grow: .99 is .96 per step at
four tokens, .69 at 37. So there are three comparisons, all of these cells:

* fixed: the cells `-fixed`, (γ, λ) = (.99, .95) for both;
* matched: `step-…-fixed` and `token-…-matched`, γ_token = γ_step^(1/length), λ too;
* best: of four (γ, λ) for each, the one with the highest mean success on the panel
  `seen`, compared on `unseen`.

All cells have the token's ratio, so that credit alone differs. The lengths are the
scripted expert's, so those that training starts from; policies move away from them.
"""

from __future__ import annotations

from configs.ablations import common
from configs.ablations.credit_ratio import TOKEN_RATIO
from steppo_jax.ablation.grid import Ablation

LENGTHS = {0: 4.1, 8: 9.0, 32: 21.1, 64: 37.1}  # thought tokens → mean of responses
FIXED = (0.99, 0.95)


def matched(per_step: float, length: float) -> float:
    """The number per token that is `per_step` over a response of mean length."""
    return round(per_step ** (1 / length), 6)


def points(credit: str, length: float) -> dict[str, tuple[float, float]]:
    """The four (γ, λ) of one credit."""
    if credit == "step":
        others = {"undiscounted": (1.0, 0.95), "short": (0.99, 0.8), "long": (1.0, 1.0)}
        return {"fixed": FIXED, **others}
    gamma, lam = (matched(number, length) for number in FIXED)
    others = {"matched": (gamma, lam), "undiscounted": (1.0, lam), "long": (1.0, 1.0)}
    return {"fixed": FIXED, **others}


METHODS = {"step": f"steppo,{TOKEN_RATIO}", "token": f"ppo,{TOKEN_RATIO}"}
CELLS = {
    f"{credit}-think-{thoughts}-{point}": (
        f"household:{method},env.think_tokens={thoughts},credit.gamma={gamma},"
        f"credit.lam={lam}"
    )
    for thoughts, length in LENGTHS.items()
    for credit, method in METHODS.items()
    for point, (gamma, lam) in points(credit, length).items()
}

FEW = [
    "step-think-0-fixed",
    "token-think-0-matched",
    "step-think-64-fixed",
    "token-think-64-matched",
]  # of the smoke form


def get_config(arg: str = "") -> Ablation:
    """The grid; see configs/ablations/common.py."""
    return common.build("response_length", arg, CELLS, every="iterations=40", smoke=FEW)
