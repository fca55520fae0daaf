"""report.html of an ablation: cells, figures with their words, settings, origin."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from steppo_jax.figures.cells import PANEL, Cell, by_environment, of_runs
from steppo_jax.figures.files import COMPARED
from steppo_jax.figures.main_table import FIRST, preset_of, seconds
from steppo_jax.figures.result import Missing, Result, cell
from steppo_jax.pages import differences, rendering
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare

NAME = "report.html"
ROWS = 60  # of a figure's table on the page; the CSV has them all


def cells_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Environment by environment: each cell, and how it compares with the first."""
    found = []
    for environment, cells in by_environment(of_runs(runs)).items():
        cells = sorted(cells, key=_first)
        apart = varying(cells)
        found.append(
            {
                "environment": environment,
                "base": cells[0].label,
                "apart": apart,
                "rows": [_row(c, cells[0], apart) for c in cells],
            }
        )
    return found


def _first(one: Cell) -> tuple:
    """The cell to compare with leads: StepPO as shipped, else the one of most runs."""
    return preset_of(one.runs[0]) != FIRST, -len(one.runs), one.label


def varying(cells: Sequence[Cell]) -> list[str]:
    """Fields that differ between cells, where nearly all cells say something."""
    names = [n for n in cells[0].settings if n not in ("seed", "devices", "preset")]
    return [n for n in names if len({repr(c.settings[n]) for c in cells}) > 1]


def _row(one: Cell, base: Cell, apart: Sequence[str]) -> dict[str, Any]:
    against = None
    if one is not base:
        against = compare(base.label, one.label, base.values(), one.values())
    return {
        "label": one.label,
        "seeds": len(one.values()),
        "success": one.interval(),
        "iqm": one.iqm(),
        "episodes": one.mean(lambda r: r.totals["episodes"]),
        "minutes": one.mean(seconds) / 60,
        "against": against,
        "settings": [(n, one.settings[n]) for n in apart],
    }


def origins(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Where the runs come from, once for those that agree."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        o = run.origin
        packages = ", ".join(f"{k} {v}" for k, v in sorted(o["packages"].items()))
        row = {
            "commit": o["commit"] or "unknown",
            "edited": o["edited"],
            "python": o["python"],
            "packages": packages,
            "devices": ", ".join(sorted(set(o["devices"]))),
        }
        found.setdefault(repr(row), {**row, "runs": 0})["runs"] += 1
    return list(found.values())


def figure_of(result: Result, svg: str) -> dict[str, Any]:
    """A figure as the template shows it."""
    return {
        "name": result.name,
        "title": result.title,
        "shows": result.shows,
        "limits": result.limits,
        "comparisons": result.comparisons,
        "picture": rendering.picture(svg),
        "head": list(result.rows[0]),
        "rows": [[cell(x) for x in row.values()] for row in result.rows[:ROWS]],
        "more": max(0, len(result.rows) - ROWS),
    }


def write(
    path: pathlib.Path,
    runs: Sequence[Run],
    results: Sequence[tuple[Result, str]],
    missing: Sequence[Missing],
) -> pathlib.Path:
    """The page of what was found; `results` come with their SVG."""
    cells = of_runs(runs)
    commands = {c.label: c.runs[0].origin.get("command") for c in cells}
    return rendering.write(
        path,
        "ablation.html",
        runs=len(runs),
        panel=PANEL,
        tables=cells_of(runs),
        compared=COMPARED,
        figures=[figure_of(*one) for one in results],
        missing=missing,
        origins=origins(runs),
        configs=[
            {
                "environment": c.environment,
                "label": c.label,
                "command": commands[c.label],
                "changed": [
                    row
                    for row in differences.from_defaults(c.settings)
                    if row[0] not in ("seed", "devices")
                ],
            }
            for c in cells
        ],
    )
