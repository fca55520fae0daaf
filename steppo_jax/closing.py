"""The last thing a run prints: what was reached, how it was measured, where it lies."""

from __future__ import annotations

import pathlib

from rich.console import Console
from rich.table import Table

from steppo_jax import panel_records
from steppo_jax.intervals import Interval

# What a person may look for, and what it is.
FILES = (
    ("report.html", "curves, panels and episodes coloured by credit"),
    ("learning_curve.png", "picture (also .svg)"),
    ("metrics.jsonl", "one object per iteration"),
    ("eval", "one object per task of each panel"),
    ("trajectories", "sampled episodes as text"),
    ("checkpoints", "to resume or evaluate"),
    ("config.json", "settings, versions, commit"),
    ("tensorboard", "tensorboard --logdir of this folder"),
    ("profile", "trace for xprof or perfetto"),
)


def percent(interval: Interval) -> str:
    """`63.1 % [58.8, 67.1]`"""
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.value:.1f} % [{low:.1f}, {high:.1f}]"


def success_table(found: dict[str, list[panel_records.Summary]]) -> Table:
    """Success of the first and the last evaluation per panel and decoding."""
    table = Table(title="Success on frozen panels (Wilson 95 % interval)")
    for name in ("panel", "decoding", "tasks", "before", "after"):
        table.add_column(name, no_wrap=True)
    for panel, summaries in found.items():
        for decoding in sorted({s.kind.decoding for s in summaries}):
            chosen = [s for s in summaries if s.kind.decoding == decoding]
            first, last = chosen[0], chosen[-1]
            table.add_row(
                panel,
                decoding,
                str(last.episodes),
                percent(first.success),
                percent(last.success),
            )
    return table


def panel_table(summaries: list[panel_records.Summary]) -> Table:
    """Everything about some evaluations, one row each, and how they decoded."""
    done = ", ".join(str(i) for i in sorted({s.kind.iteration for s in summaries}))
    table = Table(title=f"Frozen panels after {done} iterations (95 % intervals)")
    for name in ("panel", "tasks", "success", "return", "steps", "golden"):
        table.add_column(name, no_wrap=True)
    for s in summaries:
        table.add_row(
            s.panel,
            str(s.episodes),
            percent(s.success),
            s.returns.text(".2f"),
            f"{s.steps:.1f}",
            f"{s.golden_steps:.1f}",
        )
    ways = {(s.kind.decoding, s.kind.seed) for s in summaries}
    table.caption = "; ".join(
        "greedy decoding" if way == "greedy" else f"sampled decoding, seed {seed}"
        for way, seed in sorted(ways)
    )
    return table


def show(workdir: pathlib.Path, console: Console | None = None) -> None:
    """Prints the table and the files of the run in `workdir`."""
    console = console or Console()
    found = panel_records.read(workdir)
    if found:
        console.print(success_table(found))
    console.print(f"Everything is in {workdir}:", highlight=False, soft_wrap=True)
    for name, what in FILES:
        if (workdir / name).exists():
            console.print(f"  {name:20} {what}", highlight=False, markup=False)
