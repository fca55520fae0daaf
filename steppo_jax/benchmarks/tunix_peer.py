"""Iterations of GRPO and PPO beside those of google-tunix: same model, same work.

A Qwen3 decoder with 4.2 M weights; 32 prompts of 64 random words, 32 words said after
each; one optimizer step on the whole batch; no reference model. For PPO a critic of
the same size, read at every token, on both sides. Tokens that are counted are the 1,024
that may be said. Ours goes through the batch again for old log-probs in both; tunix
has GRPO do without.

Beside both stands a floor: the matrix products alone that no such iteration can do
without (prompts read, words said, policy and critic trained, values read; no old
log-probs), at the rows each of our programs has at once. Nothing can be faster than
peer ÷ floor times the peer.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from steppo_jax import methods, programs, settings
from steppo_jax.benchmarks import compiled, products
from steppo_jax.benchmarks.peer import Peer
from steppo_jax.benchmarks.recital import Recital
from steppo_jax.benchmarks.timing import Timing
from steppo_jax.benchmarks.turns import in_turns
from steppo_jax.parallel import Devices

LIMIT = 2.0  # times the tokens per second of the peer


@dataclasses.dataclass(frozen=True)
class Work:
    """Sizes of the model and of one iteration."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    mlp_width: int = 768
    words: int = 2048
    prompt: int = 64
    new: int = 32
    groups: int = 8  # of `size` answers each; PPO takes each answer as its own prompt
    size: int = 4
    microbatch: int = 8  # of ours

    @property
    def tokens(self) -> int:
        return self.groups * self.size * self.new


def run(python: str, repeats: int, work: Work, devices: int = 1) -> dict[str, Any]:
    """One row for GRPO and one for PPO; ours runs on `devices` devices."""
    calls = {}
    for method in ("grpo", "ppo"):
        calls[method], matrices, weights = _ours(method, work, devices)
    floors = bounds(matrices, work)
    others = {method: _theirs(python, method, work) for method in calls}
    asks = {m: x.asks(["iteration"])["iteration"] for m, x in others.items()}
    took, theirs = in_turns(calls | floors, asks, repeats)
    for other in others.values():
        other.close()
    rows = []
    for method in calls:
        least = floor(method, took, work)
        rows.append(_row(method, took[method], theirs[method], least, work))
    return {
        "peer": others["grpo"].about,
        "weights": weights,
        "work": dataclasses.asdict(work),
        "devices": devices,
        "peak_bytes": compiled.peak_bytes(),
        "rows": rows,
    }


def _groups(method: str, work: Work) -> tuple[int, int]:
    """(prompts, answers to each)"""
    if method == "grpo":
        return work.groups, work.size
    return work.groups * work.size, 1


def _theirs(python: str, method: str, work: Work) -> Peer:
    groups, size = _groups(method, work)
    sizes = dataclasses.asdict(work) | {"groups": groups, "size": size}
    del sizes["microbatch"]
    ppo = int(method == "ppo")
    return Peer(python, "peer_tunix", pathlib.Path(), ppo=ppo, **sizes)


def _ours(method: str, work: Work, devices: int):
    """(an iteration that goes on from the last, the policy's matrices, its weights)."""
    config = settings.tree()
    config.preset, config.devices = f"recital:{method}", devices
    methods.apply(config, method)
    sizes = ("width", "layers", "heads", "kv_heads", "head_width", "mlp_width")
    groups, size = _groups(method, work)
    config.update_from_flattened_dict(
        {f"model.{name}": getattr(work, name) for name in sizes}
        | {
            "model.positions": "rope",
            "model.rope_theta": 1e4,
            "model.qk_norm": True,
            "env.max_steps": 1,
            "rollout.groups": groups,
            "rollout.group_size": size,
            "learner.minibatches": 1,
            "learner.epochs": 1,
            "critic.warmup_iterations": 0,  # or the first ones train no policy
            "learner.microbatch": work.microbatch,
        }
    )
    env = Recital(work.words, work.prompt, work.new)
    learner = programs.learner(config, programs.decoder_config(config, env))
    p = programs.Programs(config, env, Devices.local(devices), learner)
    state = [p.devices.replicate(p.init(jax.random.key(0)))]
    policy = p.devices.first(state[0]).policy
    weights = sum(x.size for x in jax.tree.leaves(policy))
    update = p.update

    def iteration() -> jax.Array:
        played = p.collect(state[0])
        state[0], metrics, _ = update(state[0], played.steps, played.tokens)
        return jax.tree.map(jnp.asarray, metrics)

    return iteration, products.matrices(policy), weights


def bounds(weights: list[jax.Array], work: Work) -> dict[str, Callable[[], Any]]:
    """The products of each part of an iteration; of one slice where it has slices."""
    answers, body = work.groups * work.size, weights[:-1]
    few, many = jax.jit(products.forward(True)), jax.jit(products.forward(False))
    trained = jax.jit(products.trained)
    one = products.inputs(weights, answers)
    prompts = products.inputs(body, answers * work.prompt)
    piece = products.inputs(weights, work.microbatch * (work.prompt + work.new))
    return {
        "a word": lambda: few(weights, one),
        "prompts": lambda: many(body, prompts),
        "policy": lambda: trained(weights, piece),
        "values": lambda: many(body, piece),
        "critic": lambda: trained(body, piece),
    }


def floor(method: str, took: dict[str, Timing], work: Work) -> float:
    """Seconds of the products of one iteration."""
    slices = work.groups * work.size / work.microbatch
    parts = {"a word": work.new, "prompts": 1, "policy": slices}
    if method == "ppo":
        parts |= {"values": slices, "critic": slices}
    return sum(times * took[part].seconds for part, times in parts.items())


def _row(
    method: str, own: Timing, other: Timing, products: float, work: Work
) -> dict[str, Any]:
    return {
        "method": method,
        "seconds": own.seconds,
        "spread": own.spread,
        "cpu_seconds": own.cpu_seconds,
        "tokens_per_second": work.tokens / own.seconds,
        "peer_seconds": other.seconds,
        "peer_spread": other.spread,
        "peer_cpu_seconds": other.cpu_seconds,
        "peer_tokens_per_second": work.tokens / other.seconds,
        "times_peer": other.seconds / own.seconds,
        "cpu_times_peer": other.cpu_seconds / own.cpu_seconds,
        "peer_limit": LIMIT,
        "products_seconds": products,
        "most_times_peer": other.seconds / products,
    }
