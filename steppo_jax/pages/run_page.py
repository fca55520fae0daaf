"""report.html of a run, from its files alone."""

from __future__ import annotations

import pathlib
from typing import Any

from steppo_jax import metrics, panel_records, records, report, run_record, settings
from steppo_jax.pages import charts, differences, episodes, rendering

NAME = "report.html"


def panels(found: dict[str, list[panel_records.Summary]]) -> list[dict[str, Any]]:
    """One row per panel, decoding and evaluation."""
    rows = []
    for panel, summaries in found.items():
        for s in summaries:
            rows.append(
                {
                    "panel": panel,
                    "iteration": s.kind.iteration,
                    "decoding": s.kind.decoding,
                    "tasks": s.episodes,
                    "success": s.success,
                    "returns": s.returns,
                    "steps": s.steps,
                    "golden": s.golden_steps,
                }
            )
    return rows


def totals(lines: list[records.Record], config) -> dict[str, Any]:
    """What the run cost."""
    batch = config.rollout.groups * config.rollout.group_size

    def total(*names: str) -> float:
        return sum(line.get(name) or 0.0 for line in lines for name in names)

    return {
        "iterations": len(lines),
        "episodes": len(lines) * batch,
        "tokens": int(total("data/tokens")),
        "minutes": total("time/rollout_seconds", "time/update_seconds") / 60,
    }


def write(workdir: pathlib.Path) -> pathlib.Path:
    """Writes report.html into a run's folder, finished or not."""
    config, record = run_record.load(workdir)
    lines = records.read(workdir / metrics.FILE)
    figure = charts.curves(lines)
    return rendering.write(
        workdir / NAME,
        "run.html",
        title=report.title(record),
        record=record,
        config=config.to_dict(),
        totals=totals(lines, config),
        panels=panels(panel_records.read(workdir)),
        curves=figure and rendering.picture(rendering.svg_text(figure)),
        window=report.WINDOW,
        shown=episodes.of_run(workdir, config),
        changed=differences.from_defaults(settings.flat(config)),
    )
