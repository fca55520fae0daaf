"""Figure 7: episode length and group size, at equal episodes and at equal compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from steppo_jax import metrics
from steppo_jax.figures import drawing
from steppo_jax.figures.cells import PANEL, Cell, families, joined, of_runs, seeds_text
from steppo_jax.figures.dynamics import TIMES
from steppo_jax.figures.result import Missing, Result
from steppo_jax.intervals import Interval, mean_t
from steppo_jax.report import smooth
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare

NAME = "sweeps"
COMMAND = (
    "python -m experiments.ablate --config=configs/ablations/group_size.py "
    "--workdir=DIR (or episode_length.py)"
)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Cells by method and by the value of one setting."""

    field: str
    label: str
    cells: dict[tuple[str, int], Cell]  # (method, value) → cell
    budget: float  # seconds: of the cheapest run, what every run could afford

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(m for m, _ in self.cells))

    @property
    def values(self) -> list[int]:
        return sorted({v for _, v in self.cells})


KINDS = {
    "env.max_steps": ("steps allowed per episode", ("env.max_steps",)),
    "rollout.group_size": (
        "episodes of one task (group size)",
        ("rollout.group_size", "rollout.groups"),
    ),
}
METHOD = ("credit.", "objective.", "branching.", "kl.")


def seconds(run: Run) -> float:
    return sum(run.totals[name] for name in TIMES)


def at_budget(run: Run, budget: float) -> float:
    """Smoothed training success when so many seconds were spent."""
    spent = sum(run.cumulative(name) for name in TIMES)
    place = min(int(np.searchsorted(spent, budget)), len(spent) - 1)
    return float(smooth(run.metrics[metrics.SUCCESS])[place])


def method_of(cell: Cell) -> str:
    """Estimator and ratio: a method's name may have changed with the cell's."""
    return (
        f"{cell.settings['credit.estimator']}, {cell.settings['objective.ratio']} ratio"
    )


def sweeps(runs: Sequence[Run]) -> list[Sweep]:
    """For each kind, the family with the most values tried."""
    cells, found = of_runs(runs), []
    for field, (label, varied) in KINDS.items():
        best: dict[tuple[str, int], Cell] = {}
        for family in families(cells, (*METHOD, *varied)):
            table: dict[tuple[str, int], Cell] = {}
            for cell in sorted(family, key=lambda c: (-len(c.runs), c.label)):
                table.setdefault((method_of(cell), cell.settings[field]), cell)
            swept = {m for m, _ in table if sum(m == n for n, _ in table) > 1}
            table = {k: c for k, c in table.items() if k[0] in swept}
            if len(table) > len(best):
                best = table
        if best:
            budget = min(seconds(r) for c in best.values() for r in c.runs)
            ordered = dict(sorted(best.items()))
            found.append(Sweep(field, label, ordered, budget))
    return found


def of_budget(cell: Cell, budget: float) -> Interval:
    return mean_t([at_budget(run, budget) for run in cell.runs])


def make(runs: Sequence[Run]) -> Result | Missing:
    found = sweeps(runs)
    if not found:
        needs = "a method run with two values of env.max_steps or rollout.group_size"
        return Missing(NAME, needs, COMMAND)
    rows, lines, told = [], [], []
    for sweep in found:
        for (method, value), cell in sweep.cells.items():
            mean, fair = cell.interval(), of_budget(cell, sweep.budget)
            rows.append(
                {
                    "environment": cell.environment,
                    "sweep": sweep.field,
                    "method": method,
                    "value": value,
                    "seeds": len(cell.runs),
                    "episodes": cell.mean(lambda r: r.totals["episodes"]),
                    "seconds": cell.mean(seconds),
                    "tokens": cell.mean(lambda r: r.totals["data/tokens"]),
                    "success": mean.value,
                    "low": mean.low,
                    "high": mean.high,
                    "budget_seconds": sweep.budget,
                    "train_success_at_budget": fair.value,
                    "budget_low": fair.low,
                    "budget_high": fair.high,
                }
            )
        for method in sweep.methods:
            values = [v for m, v in sweep.cells if m == method]
            low, high = (sweep.cells[method, v] for v in (min(values), max(values)))
            name = sweep.field.partition(".")[2]
            one = compare(
                f"{method}, {name}={max(values)}",
                f"{name}={min(values)}",
                high.values(),
                low.values(),
            )
            lines += [one.text()] if one else []
            best = max(values, key=lambda v: sweep.cells[method, v].interval().value)
            fair = max(
                values,
                key=lambda v: of_budget(sweep.cells[method, v], sweep.budget).value,
            )
            told.append(
                f"{method} is highest at {name}={best} after equal episodes and at "
                f"{name}={fair} after {sweep.budget:.0f} s"
            )
    cells = [c for s in found for c in s.cells.values()]
    return Result(
        name=NAME,
        title=f"Sweeps on {joined(sorted({c.environment for c in cells}))}",
        shows=(
            f"Success on {PANEL} after equal episodes, and training success after "
            f"equal seconds; {seeds_text(cells)}. {'; '.join(told)}."
        ),
        limits=(
            "Equal compute reads the training curve, which no panel was played along. "
            "A step limit changes the task too: success within 10 steps is not success "
            "within 20. Highest means are not wins where intervals overlap."
        ),
        rows=rows,
        draw=lambda: draw(found),
        comparisons=lines,
    )


def draw(found: Sequence[Sweep]) -> Figure:
    figure, axes = drawing.canvas(len(found), 2, width=4.2, height=2.7)
    for row, sweep in enumerate(found):
        look = drawing.colours(sweep.methods)
        for column in (0, 1):
            each = axes[row, column]
            for number, method in enumerate(sweep.methods):
                aside = 0.05 * (number - (len(sweep.methods) - 1) / 2)
                values = sorted(v for m, v in sweep.cells if m == method)
                cells = [sweep.cells[method, v] for v in values]
                seen = [
                    of_budget(c, sweep.budget) if column else c.interval()
                    for c in cells
                ]
                each.errorbar(
                    [sweep.values.index(v) + aside for v in values],
                    [i.value for i in seen],
                    yerr=drawing.bars(
                        *(
                            [getattr(i, n) for i in seen]
                            for n in ("value", "low", "high")
                        )
                    ),
                    color=look[method][0],
                    marker=look[method][1],
                    ms=5,
                    capsize=3,
                    label=method,
                )
            each.set_xticks(range(len(sweep.values)), list(map(str, sweep.values)))
            each.set(xlabel=sweep.label, ylim=(0, 1.02))
        axes[row, 0].set_ylabel(f"success, {PANEL}")
        axes[row, 0].set_title("after equal episodes", fontsize=9, loc="left")
        axes[row, 1].set_ylabel("training success")
        equal = f"after {sweep.budget:.0f} s of rollout and update"
        axes[row, 1].set_title(equal, fontsize=9, loc="left")
        axes[row, 0].legend(frameon=False, fontsize=8)
    return drawing.finish(figure)
