"""The layouts of one batch beside each other: tokens, padding and time of an update.

The batch is played by the scripted expert with `warm_start.expert_noise`, whose
responses end where a trained policy's do; at 1 every action is drawn, and most episodes
run to the step limit. `places` are those that the policy's passes of one epoch go
through, padding included; `× whole` compares them with the trajectories as one text
each, which exists only where the context is append-only. All layouts learn from the
same batch.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from rich.table import Table

from steppo_jax import draws, layout, programs, settings
from steppo_jax.actor.rollout import Rollout, rollout, train_tasks
from steppo_jax.benchmarks.timing import alternate
from steppo_jax.warm_start import expert_speaks

MOST_PADDING = 0.05  # of packed
MOST_PLACES = 1.1  # of merged, append-only: × the trajectories as one text each
MOST_TIME = 0.35  # of merged, append-only: × rows


def run(config: ConfigDict, width: int | None, repeats: int) -> dict[str, Any]:
    """Updates of a config of layout rows on one device, in every layout it can have.

    Args:
      width: of packed sequences; None for the longest that a sequence can be.
    """
    append = config.context.policy == "append"
    kinds = ("rows", "packed", "merged") if append else ("rows", "packed")
    env = programs.environment(config)
    longest = env.observation_length + env.response_length
    width = width or longest
    made = {kind: _with(config, kind, width, longest) for kind in kinds}
    p = made["rows"]
    state = p.devices.replicate(p.init(jax.random.key(0)))
    played = jax.block_until_ready(_play(p))

    def update(p: programs.Programs):
        program, given = p.update_of_numbers, p.devices.replicate(p.numbers)

        def call():  # it consumes the state
            again = jax.tree.map(jnp.copy, state)
            return program(given, again, played.steps, played.tokens)[1]

        return call

    calls = {kind: update(p) for kind, p in made.items()}
    took = alternate(calls, repeats)
    read = _tokens(played, append)
    responding = int(played.tokens.response_mask.any(1).sum())
    rows = []
    for kind, call in calls.items():
        used = read["merged" if kind == "merged" else "rows"]
        places = used / (1 - float(call()["data/padding_fraction"]))
        if kind == "rows":  # its metric counts the sequences that nobody walks, too
            places = responding * longest
        rows.append(
            {
                "layout": kind,
                "used": used,
                "places": round(places),
                "padding": 1 - used / places,
                "of_whole": places / read["merged"] if append else None,
                "seconds": took[kind].seconds,
                "spread": took[kind].spread,
                "of_rows": took[kind].seconds / took["rows"].seconds,
            }
        )
    return {"config": config.preset, "width": width, "rows": rows}


def _play(p: programs.Programs) -> Rollout:
    """The expert's episodes on the tasks of a first iteration."""
    size = p.config.rollout.group_size
    traj_N = jnp.arange(p.learner.settings.trajectories, dtype=jnp.int32)
    speak = expert_speaks(p.env, p.config.warm_start.expert_noise)
    key = jax.random.key(p.config.seed)

    def play() -> Rollout:
        task_N = train_tasks(p.env, draws.key_of(key, "tasks"), traj_N // size)
        how, now = p.play_settings("sampled"), draws.key_of(key, "rollout")
        zero = jnp.int32(0)
        return rollout(speak, p.env, how, now, task_N, traj_N, traj_N // size, zero)

    return jax.jit(play)()


def _with(config: ConfigDict, kind: str, width: int, longest: int) -> programs.Programs:
    config = config.copy_and_resolve_references()
    config.learner.layout = kind
    config.learner.width = None if kind == "rows" else width
    if kind != "rows":  # slices of as many tokens as those of rows
        config.learner.microbatch = max(config.learner.microbatch * longest // width, 1)
    settings.check(config)
    return programs.build(config)


def _tokens(played, append: bool) -> dict[str, int]:
    """Tokens of sequences with a response: of rows, and merged."""

    def count(tokens) -> int:
        used = np.asarray(tokens.segment > 0)
        return int(used[np.asarray(tokens.response_mask.any(1))].sum())

    found = {"rows": count(played.tokens)}
    if append:
        found["merged"] = count(layout.merged(played.steps, played.tokens))
    return found


def show(found: dict[str, Any]) -> Table:
    """The table for people."""
    title = f"{found['config']}, width {found['width']}, one device"
    table = Table(title=title)
    columns = ("layout", "tokens", "places", "padding", "× whole", "ms", "spread")
    for name in (*columns, "× rows"):
        table.add_column(name, no_wrap=True)
    for row in found["rows"]:
        kind, whole = row["layout"], row["of_whole"]
        merged = kind == "merged"
        table.add_row(
            kind,
            f"{row['used']:,}",
            f"{row['places']:,}",
            f"{row['padding']:.1%}"
            + _over(row["padding"], MOST_PADDING if kind == "packed" else None),
            "" if whole is None else f"{whole:.2f}" + _over(whole, MOST_PLACES, merged),
            f"{row['seconds'] * 1e3:,.0f}",
            f"{row['spread'] / row['seconds']:.0%}",
            f"{row['of_rows']:.2f}" + _over(row["of_rows"], MOST_TIME, merged),
        )
    return table


def _over(value: float, limit: float | None, applies: bool = True) -> str:
    return " missed" if applies and limit is not None and value > limit else ""
