"""Figure 3: training dynamics on both axes (method.md §4.5, without the flaw of §7.14).

The critic's error is the mean squared error of an element (a step, or a token), not a
sum over minibatches, which would fall just because episodes get shorter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from steppo_jax import metrics
from steppo_jax.figures import drawing
from steppo_jax.figures.cells import Cell, joined, seeds_text
from steppo_jax.figures.main_table import tables
from steppo_jax.figures.result import Missing, Result
from steppo_jax.report import smooth
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare

NAME = "dynamics"
COMMAND = (
    "python -m experiments.train --config=configs/household.py:steppo --workdir=RUNS/a"
)
LOSS = "critic/loss"
PANELS = (
    (metrics.SUCCESS, "success of training episodes"),
    (LOSS, "critic: mean squared error of an element"),
    (metrics.EXPLAINED_VARIANCE, "critic: explained variance"),
)
TIMES = ("time/rollout_seconds", "time/update_seconds")
KEYS = tuple(name for name, _ in PANELS)


def axis(run: Run) -> dict[str, np.ndarray]:
    """The two costs at the end of each entry."""
    return {
        "episodes": run.done() * run.episodes_per_iteration,
        "seconds": sum(run.cumulative(name) for name in TIMES),
    }


def curve(cell: Cell, name: str) -> np.ndarray:
    """[entries] mean over seeds of the smoothed metric; NaN where a run has none."""
    return np.mean([smooth(run.metrics[name]) for run in cell.runs], axis=0)


def has(cell: Cell, name: str) -> bool:
    return all(
        name in run.metrics and np.isfinite(run.metrics[name]).any()
        for run in cell.runs
    )


def area(run: Run) -> float:
    """Mean training success over the whole run: how soon it learned."""
    return float(np.nanmean(run.metrics[metrics.SUCCESS]))


def make(runs: Sequence[Run]) -> Result | Missing:
    found = {e: list(table.values()) for e, table in tables(runs).items()}
    if not found:
        return Missing(NAME, "a finished run of a preset", COMMAND)
    rows, lines = [], []
    for environment, cells in found.items():
        for cell in cells:
            for run in cell.runs:
                at = axis(run)
                for place, done in enumerate(run.done()):
                    numbers = {
                        name: float(run.metrics[name][place])
                        if name in run.metrics
                        else None
                        for name in KEYS
                    }
                    rows.append(
                        {
                            "environment": environment,
                            "method": cell.label,
                            "seed": run.seed,
                            "iteration": int(done),
                            "episodes": int(at["episodes"][place]),
                            "seconds": float(at["seconds"][place]),
                        }
                        | numbers
                    )
        first = cells[0]
        for cell in cells[1:]:
            pair = [{r.seed: area(r) for r in c.runs} for c in (first, cell)]
            one = compare(first.label, cell.label, *pair)
            lines += (
                [one.text(f", mean training success on {environment}")] if one else []
            )
    told = [
        f"{environment}: {joined([_told(cell) for cell in cells])}"
        for environment, cells in found.items()
    ]
    return Result(
        name=NAME,
        title="Training dynamics",
        shows=(
            "Training success against episodes and against seconds, the critic's "
            f"squared error per element and its explained variance; "
            f"{seeds_text([c for cells in found.values() for c in cells])}, thick "
            f"lines are means over seeds. Last tenth of training: {'; '.join(told)}."
        ),
        limits=(
            "A smaller critic error is not a better critic where targets differ: a "
            "token critic fits other targets, at other places, than a step critic. "
            "Seconds hold compilation, on machines that other work may have shared."
        ),
        rows=rows,
        draw=lambda: draw(found),
        comparisons=lines,
    )


def _told(cell: Cell) -> str:
    def end(name: str) -> float:
        return float(
            np.mean(
                [
                    np.nanmean(r.metrics[name][-(len(r.metrics[name]) // 10 or 1) :])
                    for r in cell.runs
                ]
            )
        )

    text = f"{cell.label} success {end(metrics.SUCCESS):.2f}"
    if has(cell, metrics.EXPLAINED_VARIANCE):
        text += f", explained variance {end(metrics.EXPLAINED_VARIANCE):.2f}"
    return text


def draw(found: dict[str, list[Cell]]) -> Figure:
    look = drawing.colours(c.label for cells in found.values() for c in cells)
    figure, axes = drawing.canvas(len(found), 4, width=3.3, height=2.6)
    for row, (environment, cells) in enumerate(found.items()):
        for column, (name, label) in enumerate([PANELS[0], *PANELS]):
            each = axes[row, column]
            by = "seconds" if column == 1 else "episodes"
            for cell in cells:
                if has(cell, name):
                    _lines(each, cell, name, by, look[cell.label][0])
            each.set_title(
                label if column else f"{environment}: {label}", fontsize=8, loc="left"
            )
            each.set_xlabel("seconds of rollout and update" if by == "seconds" else by)
            if name == metrics.SUCCESS:
                each.set_ylim(0, 1)
            if name == metrics.EXPLAINED_VARIANCE:
                each.set_ylim(-0.5, 1)
    drawing.finish(figure)
    drawing.legend_below(figure)
    return figure


def _lines(axes, cell: Cell, name: str, by: str, colour: str) -> None:
    for run in cell.runs:
        axes.plot(
            axis(run)[by], smooth(run.metrics[name]), color=colour, lw=0.7, alpha=0.3
        )
    lengths = {len(run.metrics[name]) for run in cell.runs}
    if len(lengths) == 1:
        x = np.mean([axis(run)[by] for run in cell.runs], axis=0)
        axes.plot(x, curve(cell, name), color=colour, lw=2, label=cell.label)
