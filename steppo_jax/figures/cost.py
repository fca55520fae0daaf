"""Figure 9: seconds and tokens per iteration, by part (method.md §4.9)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from steppo_jax.figures import drawing
from steppo_jax.figures.cells import Cell, joined, seeds_text
from steppo_jax.figures.dynamics import COMMAND
from steppo_jax.figures.main_table import tables
from steppo_jax.figures.result import Missing, Result
from steppo_jax.intervals import mean_t
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare

NAME = "cost"
PARTS = {"rollout": "time/rollout_seconds", "update": "time/update_seconds"}


def median(run: Run, part: str) -> float:
    """Seconds of the part in a typical iteration, compilation left out."""
    return run.totals[f"{PARTS[part]}/median"]


def whole(run: Run) -> float:
    return sum(median(run, part) for part in PARTS)


def tokens(run: Run) -> float:
    """Response tokens of an iteration, mean over training."""
    return run.totals["data/tokens"] / run.settings["iterations"]


def steps(run: Run) -> float:
    return run.totals["data/steps"] / run.settings["iterations"]


def make(runs: Sequence[Run]) -> Result | Missing:
    found = {e: list(table.values()) for e, table in tables(runs).items()}
    if not found:
        return Missing(NAME, "a finished run of a preset", COMMAND)
    rows, lines, told = [], [], []
    for environment, cells in found.items():
        for cell in cells:
            total = mean_t([whole(run) for run in cell.runs])
            rows.append(
                {
                    "environment": environment,
                    "method": cell.label,
                    "seeds": len(cell.runs),
                    **{
                        f"{part}_seconds": cell.mean(lambda r, p=part: median(r, p))
                        for part in PARTS
                    },
                    "seconds": total.value,
                    "seconds_low": total.low,
                    "seconds_high": total.high,
                    "steps": cell.mean(steps),
                    "tokens": cell.mean(tokens),
                    "tokens_per_second": cell.mean(lambda r: tokens(r) / whole(r)),
                    "lanes": max(r.origin.get("lanes", 1) for r in cell.runs),
                    "device": ", ".join(
                        sorted({d for r in cell.runs for d in r.origin["devices"]})
                    ),
                }
            )
        base = cells[0]
        for cell in cells[1:]:
            pair = [{r.seed: whole(r) for r in c.runs} for c in (base, cell)]
            one = compare(base.label, cell.label, *pair)
            lines += (
                [one.text(f", seconds per iteration on {environment}")] if one else []
            )
        spent = [f"{c.label} {c.mean(whole):.2f} s" for c in cells]
        told.append(f"{environment}: {joined(spent)}")
    cells = [c for group in found.values() for c in group]
    return Result(
        name=NAME,
        title="Cost of an iteration",
        shows=(
            f"Median seconds of a warm iteration by part, and its response tokens; "
            f"{seeds_text(cells)}. {'; '.join(told)}."
        ),
        limits=(
            "Wall-clock time of machines that other work may have shared; evaluation, "
            "warm start and compilation are left out. Methods that solve tasks sooner "
            "play fewer steps, so their iterations cost less."
        ),
        rows=rows,
        draw=lambda: draw(found),
        comparisons=lines,
    )


def draw(found: dict[str, list[Cell]]) -> Figure:
    figure, axes = drawing.canvas(1, 2, width=4.8, height=1.2 + 0.3 * _bars(found))
    names, place = [], 0
    for environment, cells in found.items():
        for cell in cells:
            left = 0.0
            for part, colour in zip(PARTS, drawing.COLOURS, strict=False):
                wide = cell.mean(lambda r, p=part: median(r, p))
                label = part if not names else None
                axes[0, 0].barh(place, wide, left=left, color=colour, label=label)
                left += wide
            axes[0, 1].barh(place, cell.mean(tokens), color=drawing.COLOURS[2])
            names.append(f"{environment} {cell.label}")
            place += 1
    for each in axes[0]:
        each.set_yticks(range(len(names)), names)
        each.invert_yaxis()
    axes[0, 1].set_yticks(range(len(names)), [])
    axes[0, 0].set_xlabel("seconds per iteration (median)")
    axes[0, 1].set_xlabel("response tokens per iteration")
    drawing.finish(figure)
    drawing.legend_below(figure)
    return figure


def _bars(found: dict[str, list[Cell]]) -> int:
    return sum(map(len, found.values()))
