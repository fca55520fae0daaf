"""Twins of the presets: what the official code runs, as points of our grid.

The numbers are those of the ALFWorld scripts at commit 26107f1 of AgentR1/StepPO: γ and
λ 1, one clip of 3e-4 below and 4e-4 above for token and step ratios alike (the
successor's scripts of August 2026 have γ = .99 for critic methods, and 3e-4 or, for
token ratios, .2), dual clip at 10 for token ratios, value clip .5, no critic warm-up,
KL .001 as k3 in the loss or as k1 in the reward, AdamW with b2 .999 and decay .01.
`credit.official` is the twin of the estimator and of the whitening
(docs/official.md §1, §4): V = 0 beyond a limit, ddof 1, the raw return for a group of
one, REINFORCE++ inside the row.

What these presets cannot do as the official code does (docs/official.md §5):

* Copies of rows as padding, which the official code trains on. Padding has no weight.
* One optimizer update per fixed number of *rows*, in an order that balances lengths;
  the last incomplete one is divided by the full count. Here the number of updates is
  fixed and minibatches are whole trajectories.
* The last step of an ALFWorld episode twice.
* A random value head. Here it begins near zero.
* NaN for a batch of one row. Here it gives 0.
* Learning rates (1e-6, critic 1e-5), bfloat16 and batch sizes belong to the model. Ours
  stay; 8 × 8 trajectories for group methods against 64 × 1 for critic methods keep the
  proportion of the scripts.
"""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]


def _point(estimator: str, ratio: str, normalise: str, **credit: Any) -> Fields:
    """What every script shares."""
    return {
        "credit.estimator": estimator,
        "credit.official": True,
        "credit.normalise": normalise,
        **{f"credit.{name}": value for name, value in credit.items()},
        "objective.ratio": ratio,
        "objective.clip_low": 3e-4,
        "objective.clip_high": 4e-4,
        "objective.dual_clip": 10.0 if ratio == "token" else None,  # gspo has none
        "objective.aggregate": "step",
        "env.on_time_limit": "terminal",
        "policy.weight_decay": 0.01,
        "policy.adam_b2": 0.999,
        "critic.kind": "none",
    }


def _critic(kind: str) -> Fields:
    return {
        "critic.kind": kind,
        "critic.value_clip": 0.5,
        "critic.warmup_iterations": 0,
        "rollout.groups": 64,
        "rollout.group_size": 1,
    }


IN_LOSS = {"kl.kind": "k3", "kl.coef": 1e-3, "kl.place": "loss"}
IN_REWARD = {"kl.kind": "k1", "kl.coef": 1e-3, "kl.place": "reward"}
GRPO = _point("grpo", "token", "none", divide_by_std=True) | IN_LOSS
GSPO = {"objective.ratio": "step", "objective.dual_clip": None}

# Name of the preset → its point. Each preset's summary is that of the one it is of.
POINTS: dict[str, Fields] = {
    "steppo": _point("step_gae", "step", "batch", gamma=1.0, lam=1.0)
    | _critic("step")
    | IN_LOSS,
    "ppo": _point("token_gae", "token", "token_batch", gamma=1.0, lam=1.0)
    | _critic("token")
    | IN_LOSS,
    "grpo": GRPO,
    "gspo": GRPO | GSPO,
    "rloo": _point("rloo", "token", "none") | IN_REWARD,
    "reinforce_pp": _point("reinforce_pp", "token", "token_batch", gamma=1.0)
    | IN_REWARD,
    "reinforce_pp_baseline": _point("reinforce_pp_baseline", "token", "token_batch")
    | IN_REWARD,
    "gigpo": _point(
        "gigpo", "token", "none", gamma=1.0, divide_by_std=True, step_weight=1.0
    )
    | IN_LOSS,
}
