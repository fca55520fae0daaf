"""What the configurations of host families have in common.

    configs/FAMILY.py:METHOD[,paper][,smoke],model=MODEL[,FIELD=VALUE …]

`paper` sets the paper's numbers as far as they are known (docs/official.md); all else
is as in configs/common.py. Without `model=` a configuration can be looked at but not
run: these environments speak text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_collections

from configs import common
from steppo_jax import settings

FIELDS: dict[str, Any] = {
    "env.think_tokens": 0,  # thoughts are free in text
    "env.tools": False,
    "env.on_time_limit": "terminal",
    "host.workers": 8,
    "host.reset_seconds": 60.0,
    "host.step_seconds": 30.0,
    "host.tries": 3,
    "warm_start.expert_noise": 0.0,
}
# After the model's own numbers: prompts of real games are long.
OVER_MODEL: dict[str, Any] = {
    "lm.rules": True,
    "lm.max_prompt": 768,
    "lm.max_new": 32,
    "warm_start.expert_noise": 0.0,
}
# The settings that the paper's environments share, whatever the method.
PAPER: dict[str, Any] = {
    "env.tools": True,
    "policy.learning_rate": 1e-6,
    "policy.adam_b2": 0.999,
    "policy.weight_decay": 0.01,
    "policy.grad_clip": 1.0,
    "rollout.temperature": 1.0,
    "learner.epochs": 1,
    "eval.decoding": "greedy",
    "kl.kind": "k3",
    "kl.coef": 0.001,
    "kl.place": "loss",
}
GROUP = 8  # trajectories of a task, of methods that compare them
KL_IN_REWARD = ("rloo", "reinforce_pp", "reinforce_pp_baseline")  # of kind k1


def build(
    environment: str,
    arg: str,
    *,
    fields: Mapping[str, Any],
    paper: Mapping[str, Any] | None = None,
    lengths: tuple[int, int] = (8192, 4096),
    trajectories: int = 128,
) -> ml_collections.ConfigDict:
    """As `common.build`, with the word `paper` where the paper has the environment.

    Args:
      paper: what the word sets beside PAPER.
      lengths: (most tokens of a prompt, of a response) of the paper.
      trajectories: of an iteration of the paper's.
    """

    def word(config: ml_collections.ConfigDict) -> dict[str, Any]:
        if paper is None:
            raise settings.ConfigError(
                f"config argument 'paper': the paper has no numbers for {environment} "
                "that are known; leave it out"
            )
        return of_paper(config, lengths, trajectories) | dict(paper)

    return common.build(
        environment,
        arg,
        fields=FIELDS | dict(fields),
        over_model=OVER_MODEL,
        own={"paper": word},
    )


def of_paper(
    config: ml_collections.ConfigDict, lengths: tuple[int, int], trajectories: int
) -> dict[str, Any]:
    """The paper's numbers for the method of a configuration.

    With a critic one trajectory of each task, without one eight of each. Where
    generations of the official scripts differ (γ, clip of token ratios) these are the
    later ones. Its number of updates follows from how long episodes are; ours is fixed
    (docs/design.md).
    """
    found = common.cold() | {"warm_start.success": 0.0} | PAPER
    if config.lm.weights is not None:
        found |= {"lm.rules": True}
        found |= dict(zip(("lm.max_prompt", "lm.max_new"), lengths, strict=True))
    if config.critic.kind != "none":
        found |= {"rollout.groups": trajectories, "rollout.group_size": 1}
        found |= {"credit.gamma": 0.99, "credit.lam": 1.0}
        found |= {"critic.learning_rate": 1e-5, "critic.value_clip": 0.5}
        found |= {"critic.warmup_iterations": 0}
    else:
        found |= {"rollout.groups": trajectories // GROUP, "rollout.group_size": GROUP}
    ratio = config.objective.ratio
    clip = 3e-4 if ratio == "step" else config.objective.clip_low
    found |= {"objective.clip_low": clip, "objective.clip_high": clip}
    if config.credit.estimator in KL_IN_REWARD:
        found |= {"kl.kind": "k1", "kl.place": "reward"}
    return found
