"""Figure 4: success and extra steps by golden steps (method.md §4.7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from steppo_jax.figures import drawing
from steppo_jax.figures.cells import PANEL, Cell, joined, seeds_text
from steppo_jax.figures.main_table import COMMAND, tables
from steppo_jax.figures.result import Missing, Result, sign
from steppo_jax.intervals import Interval, mean_t
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare

NAME = "golden_steps"
FEWEST = 10  # tasks of a bin; smaller ones join their neighbour below


def bins(golden: np.ndarray) -> list[tuple[int, int]]:
    """Ranges (first, last) of golden steps with at least FEWEST tasks each."""
    found: list[tuple[int, int]] = []
    start, count = None, 0
    for steps in sorted(set(golden.astype(int))):
        start = steps if start is None else start
        count += int((golden == steps).sum())
        if count >= FEWEST:
            found.append((start, steps))
            start, count = None, 0
    if start is not None:  # what is left joins the last
        last = int(golden.max())
        found = [*found[:-1], (found[-1][0] if found else start, last)]
    return found


def of_bin(run: Run, first: int, last: int) -> tuple[float, float]:
    """(success, mean extra steps of the solved tasks) of one run; NaN if none."""
    columns = run.last(PANEL).columns
    inside = (columns["golden_steps"] >= first) & (columns["golden_steps"] <= last)
    solved = inside & (columns["success"] > 0)
    extra = (columns["steps"] - columns["golden_steps"])[solved]
    success = columns["success"][inside]
    return (
        float(success.mean()) if len(success) else np.nan,
        float(extra.mean()) if len(extra) else np.nan,
    )


def over_seeds(values: Sequence[float]) -> Interval:
    known = [v for v in values if np.isfinite(v)]
    return mean_t(known) if known else Interval(np.nan, np.nan, np.nan)


def slope(run: Run) -> float:
    """Change of success per golden step, least squares over tasks."""
    columns = run.last(PANEL).columns
    golden = columns["golden_steps"] - columns["golden_steps"].mean()
    return float((golden * columns["success"]).sum() / (golden**2).sum())


def make(runs: Sequence[Run]) -> Result | Missing:
    found = {}
    for environment, table in tables(runs).items():
        golden = next(iter(table.values())).runs[0].last(PANEL).columns["golden_steps"]
        ranges = bins(golden)
        if len(ranges) > 1:
            found[environment] = (ranges, list(table.values()))
    if not found:
        needs = f"runs on tasks of different golden steps (panel {PANEL})"
        return Missing(NAME, needs, COMMAND)
    rows, lines, told = [], [], []
    for environment, (ranges, cells) in found.items():
        for cell in cells:
            for first, last in ranges:
                seen = [of_bin(run, first, last) for run in cell.runs]
                success, extra = (over_seeds([x[i] for x in seen]) for i in (0, 1))
                golden = cell.runs[0].last(PANEL).columns["golden_steps"]
                rows.append(
                    {
                        "environment": environment,
                        "method": cell.label,
                        "golden_from": first,
                        "golden_to": last,
                        "tasks": int(((golden >= first) & (golden <= last)).sum()),
                        "seeds": len(cell.runs),
                        "success": success.value,
                        "success_low": success.low,
                        "success_high": success.high,
                        "extra_steps": extra.value,
                        "extra_low": extra.low,
                        "extra_high": extra.high,
                    }
                )
        base = cells[0]
        for cell in cells[1:]:
            pair = [{r.seed: slope(r) for r in c.runs} for c in (base, cell)]
            one = compare(base.label, cell.label, *pair)
            lines += (
                [one.text(f", change of success per golden step on {environment}")]
                if one
                else []
            )
        slopes = [f"{c.label} {sign(c.mean(slope))}" for c in cells]
        told.append(f"{environment}: {joined(slopes)}")
    cells = [c for _, group in found.values() for c in group]
    return Result(
        name=NAME,
        title="Difficulty: success and extra steps by golden steps",
        shows=(
            f"Success on {PANEL} and steps beyond the golden number, by golden number, "
            f"{seeds_text(cells)}. Change of success per golden step: "
            f"{'; '.join(told)}."
        ),
        limits=(
            "Extra steps count solved tasks only, so a method that solves harder tasks "
            "may look slower; golden steps are the scripted expert's. Tasks of one "
            "number differ in kind too, so this is no effect of length alone."
        ),
        rows=rows,
        draw=lambda: draw(found),
        comparisons=lines,
    )


def draw(found: dict[str, tuple[list[tuple[int, int]], list[Cell]]]) -> Figure:
    look = drawing.colours(c.label for _, cells in found.values() for c in cells)
    figure, axes = drawing.canvas(2, len(found), width=3.6, height=2.5)
    for column, (environment, (ranges, cells)) in enumerate(found.items()):
        for number, cell in enumerate(cells):
            colour, mark = look[cell.label]
            aside = 0.045 * (number - (len(cells) - 1) / 2)
            for row in (0, 1):
                seen = [
                    over_seeds([of_bin(run, *r)[row] for run in cell.runs])
                    for r in ranges
                ]
                axes[row, column].errorbar(
                    np.arange(len(ranges)) + aside,
                    [i.value for i in seen],
                    yerr=drawing.bars(
                        *(
                            [getattr(i, n) for i in seen]
                            for n in ("value", "low", "high")
                        )
                    ),
                    color=colour,
                    marker=mark,
                    ms=4,
                    lw=1.3,
                    capsize=2,
                    label=cell.label,
                )
        names = [str(a) if a == b else f"{a}–{b}" for a, b in ranges]
        for row in (0, 1):
            axes[row, column].set_xticks(range(len(names)), names)
        axes[0, column].set_title(environment, fontsize=9, loc="left")
        axes[0, column].set_ylim(0, 1.02)
        axes[1, column].set_xlabel("golden steps of the task")
    axes[0, 0].set_ylabel(f"success, {PANEL}")
    axes[1, 0].set_ylabel("extra steps of solved tasks")
    drawing.finish(figure)
    drawing.legend_below(figure)
    return figure
