"""The rule of every single field: what its value may be, whatever the others are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from steppo_jax.credit import KINDS as NORMALISE
from steppo_jax.envs.context import POLICIES as CONTEXTS
from steppo_jax.models.attention import KINDS
from steppo_jax.models.decoder import KEPT
from steppo_jax.models.lora import LAYERS
from steppo_jax.objective import AGGREGATES, KL_KINDS, RATIOS

KL_PLACES = ("loss", "reward")
CRITICS = ("none", "step", "token")
TRUNKS = ("own", "shared")
TIME_LIMITS = ("terminal", "bootstrap")
POSITIONS = ("learned", "rope")
DTYPES = ("float32", "bfloat16")
WRAPPERS = ("pmap", "mesh")
LAYOUTS = ("rows", "packed", "merged")
DECODINGS = ("sampled", "greedy")

# Counts are int32 on the device. Smaller bounds keep what is built before the first
# compile (vocabulary, layers, tables of shapes) to seconds.
MOST = 2**31 - 1
LONG = 10_000  # steps of an episode, tokens of a thought, turns of a context
WIDE = 2**20  # channels
# Numbers are float32 on the device: larger ones are infinite there, smaller ones 0.
LARGEST, SMALLEST = 3.4e38, 1.2e-38


@dataclasses.dataclass(frozen=True)
class Range:
    """What a value must be, in words and as a predicate."""

    says: str
    holds: Callable[[Any], bool]


def at_least(low: float) -> Range:
    return Range(f"must be {low} or more", lambda x: x >= low)


def count(low: int, most: int = MOST) -> Range:
    return Range(f"must lie in [{low}, {most}]", lambda x: low <= x <= most)


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
    "iterations": count(1),
    "devices": count(0, WIDE),
    "parallel.kind": one_of(WRAPPERS),
    "parallel.data": count(1, WIDE),
    "parallel.fsdp": count(1, WIDE),
    "parallel.tensor": count(1, WIDE),
    "env.name": ANY,  # checked against the registry in `checks`
    "env.max_steps": count(1, LONG),
    "env.think_tokens": count(0, LONG),
    "env.on_time_limit": one_of(TIME_LIMITS),
    "env.variant": ANY,  # checked by the family
    "env.tools": ANY,
    "env.data": ANY,
    "env.retriever": ANY,
    "env.encoder": ANY,
    "env.top": count(1, LONG),
    "env.history": count(0, LONG),
    "env.relevance": ANY,
    "context.policy": one_of(CONTEXTS),
    "context.turns": count(1, LONG),
    "model.width": count(1, WIDE),
    "model.layers": count(1, 1024),
    "model.heads": count(1, LONG),
    "model.kv_heads": count(1, LONG),
    "model.head_width": count(1, WIDE),
    "model.mlp_width": count(1, WIDE),
    "model.positions": one_of(POSITIONS),
    "model.rope_theta": above(1),
    "model.qkv_bias": ANY,
    "model.qk_norm": ANY,
    "model.tie_embeddings": ANY,
    "model.norm_eps": above(0),
    "model.dtype": one_of(DTYPES),
    "model.remat": ANY,
    "model.remat_keep": one_of(tuple(KEPT)),
    "model.scan_layers": ANY,
    "model.attention": one_of(KINDS),
    "lm.weights": Range("must name a folder, file or package", bool),
    "lm.rules": ANY,
    "lm.max_prompt": count(1, WIDE),
    "lm.max_new": count(1, WIDE),
    "lm.slots": count(1, WIDE),
    "host.workers": count(1, 4096),
    "host.reset_seconds": above(0),
    "host.step_seconds": above(0),
    "host.tries": count(1, LONG),
    "gateway.staleness": count(0, LONG),
    "gateway.idle_seconds": above(0),
    "gateway.calls": count(1, WIDE),
    "model.lora_rank": count(1, WIDE),
    "model.lora_alpha": above(0),
    "model.lora_layers": one_of(tuple(LAYERS)),
    "rollout.groups": count(1),
    "rollout.group_size": count(1),
    "rollout.temperature": above(0),
    "rollout.staleness": count(0, 1),
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
    "branching.branches": count(1, WIDE),
    "branching.gamma": within(0, 1),
    "objective.ratio": one_of(RATIOS),
    "objective.clip_low": between(0, 1),
    "objective.clip_high": above(0),
    "objective.dual_clip": above(1),
    "objective.aggregate": one_of(AGGREGATES),
    "objective.constant": above(0),
    "objective.entropy_coef": at_least(0),
    "objective.behaviour_cap": above(0),
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
    "critic.warmup_iterations": count(0),
    "learner.epochs": count(1, LONG),
    "learner.minibatches": count(1),
    "learner.microbatch": count(1),
    "learner.layout": one_of(LAYOUTS),
    "learner.width": count(1, WIDE),
    "warm_start.success": Range(
        "must lie in [0, 1), 0 for no warm start", lambda x: 0 <= x < 1
    ),
    "warm_start.expert_noise": within(0, 1),
    "warm_start.learning_rate": above(0),
    "warm_start.episodes": count(1),
    "warm_start.check_every": count(1),
    "warm_start.max_updates": count(1),
    "warm_start.measured_on": within(1, 512),
    "guards.max_skips": count(1),
    "guards.sampler_gap": above(0),
    "guards.gap_patience": count(1),
    "guards.max_kl": above(0),
    "guards.loss_spike": above(0),
    "eval.panels": Range("must name one or more panels, each once", names),
    "eval.every": count(0),
    "eval.decoding": one_of(DECODINGS),
    "eval.episodes": within(1, 512),  # every frozen panel has 512 tasks or more
    "checkpoint.every": count(1),
    "checkpoint.keep": count(1),
    "trajectories": count(0),
}


def broken(name: str, value: Any) -> str | None:
    """The rule that `value` breaks, or None. NaN and infinity break every rule."""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, float | int) and abs(value) > LARGEST:
        return f"must be a finite number in float32, at most {LARGEST}"
    if isinstance(value, float) and 0 < abs(value) < SMALLEST:
        return f"must not be 0 in float32: 0 itself, or at least {SMALLEST}"
    rule = RANGES[name]
    return None if rule.holds(value) else rule.says
