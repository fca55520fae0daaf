"""The paper's own settings, the word `paper` of the configurations of its tasks.

They are those of the released scripts for Qwen3-4B-Instruct-2507 on four GPUs; where a
method decides a number (clip, γ, λ, KL) it stays the method's. Without a language model
(`model=…`) they are refused: their lengths are those of text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

GROUP = 8  # trajectories of a task, of methods that compare them
Preset = Callable[[bool], dict[str, Any]]


def preset(*, trajectories: int, max_prompt: int, max_new: int) -> Preset:
    """Fields by whether the method has a critic.

    Methods with one play every task once, those without in groups of eight: the same
    number of trajectories an iteration.
    """

    def fields(critic: bool) -> dict[str, Any]:
        size = 1 if critic else GROUP
        chosen = {
            "iterations": 200,
            "rollout.groups": trajectories // size,
            "rollout.group_size": size,
            "rollout.temperature": 1.0,
            "lm.rules": True,
            "lm.max_prompt": max_prompt,
            "lm.max_new": max_new,
            "policy.learning_rate": 1e-6,
            "policy.weight_decay": 0.01,
            "policy.adam_b2": 0.999,
            "policy.grad_clip": 1.0,
            "learner.epochs": 1,
            "learner.minibatches": 1,
            "warm_start.success": 0.0,
            "eval.decoding": "greedy",
        }
        return chosen | ({"critic.learning_rate": 1e-5} if critic else {})

    return fields
