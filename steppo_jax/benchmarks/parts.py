"""Rollout and update of a run, each beside the matrix products of its networks.

`of_products` is the time that the linear layers' products alone take at the shapes of
the part, as a share of the part's time: its share of the matrix-multiply rate at the
model's own shapes. Padding is work here, because the program does it; `tokens` are
those of prompts and responses of steps that were played, without padding.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from steppo_jax import credit, objective, programs
from steppo_jax.benchmarks import compiled, products
from steppo_jax.benchmarks.timing import alternate
from steppo_jax.parallel import Axis

PARTS = ("rollout", "update", "iteration")
LIMIT = 0.6  # least share of the products in rollout and update
REPEATED = 8  # times that a program goes through the products


def run(config: ConfigDict, repeats: int, parts: tuple[str, ...]) -> dict[str, Any]:
    """The `parts` of a run of `config` on `config.devices` devices, without warm start.

    Policy and critic are as they are made: episodes run to the step limit.
    """
    p = programs.build(config)
    state = p.devices.replicate(p.init(jax.random.key(0)))
    given = p.devices.replicate(p.numbers)
    copy = p.devices.compile(lambda _, x: jax.tree.map(jnp.copy, x))

    def update(played):  # it consumes the state
        return learn(given, copy(state), played.steps, played.tokens)

    with compiled.watched() as seconds:
        collect = p.collect.lower(state).compile()
        played = collect(state)
        tables = (played.steps, played.tokens)
        learn = p.update_of_numbers.lower(given, state, *tables).compile()
    said = {"rollout": collect, "update": learn}
    passes = _passes(p, played)
    calls = {
        "rollout": lambda: collect(state),
        "update": lambda: update(played),
        "iteration": lambda: update(collect(state)),
    }
    calls = {name: calls[name] for name in parts}
    wanted = {name for part in parts for name, *_ in passes[part]}
    weights = products.matrices(p.devices.first(state).policy)
    took = alternate(calls | _products(p, weights, wanted), repeats)
    tokens = int((played.tokens.segment > 0).sum())
    rows = []
    for part in parts:
        own = took[part]
        bound = sum(times * took[str(name)].seconds for name, times in passes[part])
        bound /= REPEATED
        rows.append(
            {
                "part": part,
                "seconds": own.seconds,
                "spread": own.spread,
                "cpu_seconds": own.cpu_seconds,
                "tokens_per_second": tokens / own.seconds,
                "flops": sum(
                    times * _flops(weights, *name) for name, times in passes[part]
                )
                * p.devices.count,
                "of_products": bound / own.seconds,
                "limit": None if part == "iteration" else LIMIT,
            }
            | (compiled.describe(said[part]) if part in said else {})
        )
    return {
        "config": config.preset,
        "devices": p.devices.count,
        "tokens": tokens,
        "programs": len(seconds),
        "compile_seconds": sum(seconds),
        "peak_bytes": compiled.peak_bytes(),
        "rows": rows,
    }


Pass = tuple[str, int]  # (which products, over how many rows at once)


def _passes(p: programs.Programs, played) -> dict[str, list[tuple[Pass, float]]]:
    """How often each device goes through the products in each part."""
    s, env = p.learner.settings, p.env
    steps, at_once = p.config.env.max_steps, p.trajectories_per_device
    rollout = [
        (("body", at_once * env.observation_length), float(steps)),
        (("all", at_once), float(steps * env.response_length)),
    ]
    sequences = played.tokens.response_mask.any(-1).sum() / p.devices.count
    slices = math.ceil(float(sequences) / s.microbatch)
    length = played.tokens.token.shape[-1]
    columns = length if credit.get(s.estimator).critic == "token" else None
    columns = columns or env.observation_length
    again = s.objective.ratio in objective.COUPLED
    before = 1 + (s.kl is not None) + s.epochs * again
    whole, seen = s.microbatch * length, s.microbatch * columns
    update = [
        (("all", whole), float(slices * before)),
        (("trained", whole), float(slices * s.epochs)),
    ]
    if p.config.critic.kind != "none" and p.config.critic.trunk == "own":
        update += [
            (("body", seen), float(slices)),
            (("trained body", seen), float(slices * s.epochs)),
        ]
    return {"rollout": rollout, "update": update, "iteration": rollout + update}


def _kind(weights: list, name: str) -> tuple[list, bool]:
    """(weights of a pass, whether their gradients are taken)."""
    return weights[:-1] if name.endswith("body") else weights, name.startswith("tr")


def _flops(weights: list, name: str, rows: int) -> float:
    found, trained = _kind(weights, name)
    return products.flops(found, rows, trained)


def _products(p: programs.Programs, weights, wanted: set[Pass]) -> dict[str, Any]:
    """Timed calls by str(pass), each the mean of REPEATED goes through the products."""

    def call(name: str, rows: int):
        found, trained = _kind(weights, name)
        through = products.trained if trained else products.forward(left=False)

        def body(axis: Axis, weights, given):
            del axis

            def one(seen, x):
                return jnp.maximum(seen, through(weights, x)), None

            return jax.lax.scan(one, jnp.float32(0), given)[0]

        given = products.inputs(found, rows)
        given = jax.tree.map(
            lambda x: x[None] * (1 + jnp.arange(REPEATED)[:, None, None]), given
        )
        program = p.devices.compile(body)
        arguments = p.devices.replicate(found), p.devices.replicate(given)
        return lambda: program(*arguments)

    return {str((name, rows)): call(name, rows) for name, rows in sorted(wanted)}
