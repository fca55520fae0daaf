"""The rule of every single field: what its value may be, whatever the others are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from steppo_jax.credit import KINDS as NORMALISE
from steppo_jax.envs.context import POLICIES as CONTEXTS
from steppo_jax.objective import AGGREGATES, KL_KINDS, RATIOS

KL_PLACES = ("loss", "reward")
CRITICS = ("none", "step", "token")
TRUNKS = ("own", "shared")
TIME_LIMITS = ("terminal", "bootstrap")
POSITIONS = ("learned", "rope")
DECODINGS = ("sampled", "greedy")


@dataclasses.dataclass(frozen=True)
class Range:
    """What a value must be, in words and as a predicate."""

    says: str
    holds: Callable[[Any], bool]


def at_least(low: float) -> Range:
    return Range(f"must be {low} or more", lambda x: x >= low)


def above(low: float) -> Range:
    return Range(f"must be above {low}", lambda x: x > low)


def within(low: float, high: float) -> Range:
    return Range(f"must lie in [{low}, {high}]", lambda x: low <= x <= high)


def between(low: float, high: float) -> Range:
    return Range(
        f"must lie strictly between {low} and {high}", lambda x: low < x < high
    )


def one_of(known: tuple[str, ...]) -> Range:
    return Range(f"must be one of {', '.join(known)}", lambda x: x in known)


def names(x: tuple[str, ...]) -> bool:
    return bool(x) and all(isinstance(n, str) for n in x) and len(set(x)) == len(x)


ANY = Range("", lambda x: True)

RANGES: dict[str, Range] = {
    "preset": ANY,  # checked against the methods in `checks`
    "seed": within(0, 2**32 - 1),
    "iterations": at_least(1),
    "devices": at_least(0),
    "env.name": ANY,  # checked against the registry in `checks`
    "env.max_steps": at_least(1),
    "env.think_tokens": at_least(0),
    "env.on_time_limit": one_of(TIME_LIMITS),
    "context.policy": one_of(CONTEXTS),
    "context.turns": at_least(1),
    "model.width": at_least(1),
    "model.layers": at_least(1),
    "model.heads": at_least(1),
    "model.kv_heads": at_least(1),
    "model.head_width": at_least(1),
    "model.mlp_width": at_least(1),
    "model.positions": one_of(POSITIONS),
    "model.rope_theta": above(1),
    "model.qkv_bias": ANY,
    "model.qk_norm": ANY,
    "model.tie_embeddings": ANY,
    "rollout.groups": at_least(1),
    "rollout.group_size": at_least(1),
    "rollout.temperature": above(0),
    "credit.estimator": ANY,  # checked against the registry in `checks`
    "credit.gamma": within(0, 1),
    "credit.lam": within(0, 1),
    "credit.lam_alpha": above(0),
    "credit.token_gamma": within(0, 1),
    "credit.step_weight": at_least(0),
    "credit.similarity": between(0, 1),
    "credit.normalise": one_of(NORMALISE),
    "credit.official": ANY,
    "credit.divide_by_std": ANY,
    "branching.branches": at_least(1),
    "branching.gamma": within(0, 1),
    "objective.ratio": one_of(RATIOS),
    "objective.clip_low": between(0, 1),
    "objective.clip_high": above(0),
    "objective.dual_clip": above(1),
    "objective.aggregate": one_of(AGGREGATES),
    "objective.constant": above(0),
    "objective.entropy_coef": at_least(0),
    "kl.kind": one_of(KL_KINDS),
    "kl.coef": above(0),
    "kl.place": one_of(KL_PLACES),
    "policy.learning_rate": above(0),
    "policy.grad_clip": above(0),
    "policy.weight_decay": at_least(0),
    "policy.adam_b2": between(0, 1),
    "critic.kind": one_of(CRITICS),
    "critic.trunk": one_of(TRUNKS),
    "critic.coef": above(0),
    "critic.learning_rate": above(0),
    "critic.scale": above(0),
    "critic.value_clip": above(0),
    "critic.warmup_iterations": at_least(0),
    "learner.epochs": at_least(1),
    "learner.minibatches": at_least(1),
    "learner.microbatch": at_least(1),
    "warm_start.success": Range(
        "must lie in [0, 1), 0 for no warm start", lambda x: 0 <= x < 1
    ),
    "warm_start.expert_noise": within(0, 1),
    "warm_start.learning_rate": above(0),
    "warm_start.episodes": at_least(1),
    "warm_start.check_every": at_least(1),
    "warm_start.max_updates": at_least(1),
    "guards.max_skips": at_least(1),
    "guards.sampler_gap": above(0),
    "guards.gap_patience": at_least(1),
    "guards.max_kl": above(0),
    "guards.loss_spike": above(0),
    "eval.panels": Range("must name one or more panels, each once", names),
    "eval.every": at_least(0),
    "eval.decoding": one_of(DECODINGS),
    "eval.episodes": within(1, 512),  # every frozen panel has 512 tasks or more
    "checkpoint.every": at_least(1),
    "checkpoint.keep": at_least(1),
    "trajectories": at_least(0),
}


def broken(name: str, value: Any) -> str | None:
    """The rule that `value` breaks, or None. NaN and infinity break every rule."""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    rule = RANGES[name]
    return None if rule.holds(value) else rule.says
