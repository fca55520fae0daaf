"""Credit × ratio on household: step or token GAE with the step's or the token's ratio.

    python -m experiments.ablate --config=configs/ablations/credit_ratio.py \\
        --workdir=DIR

The paper's component ablation (docs/ablations.md). Critic and whitening belong to the
credit, the clip to the ratio; all else is the same. `smoke` ends in a minute or two.
"""

from __future__ import annotations

from configs.ablations import common
from steppo_jax.ablation.grid import Ablation

TOKEN_RATIO = "objective.ratio=token,objective.clip_low=0.2,objective.clip_high=0.2"
STEP_RATIO = "objective.ratio=step,objective.clip_low=0.03,objective.clip_high=0.03"
CELLS = {
    "step_gae-step_ratio": f"household:steppo,{STEP_RATIO}",
    "step_gae-token_ratio": f"household:steppo,{TOKEN_RATIO}",
    "token_gae-step_ratio": f"household:ppo,{STEP_RATIO}",
    "token_gae-token_ratio": f"household:ppo,{TOKEN_RATIO}",
}


def get_config(arg: str = "") -> Ablation:
    """The grid; see configs/ablations/common.py."""
    return common.build("credit_ratio", arg, CELLS, every="iterations=60")
