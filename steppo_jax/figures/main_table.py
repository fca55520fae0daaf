"""Figure 1: methods × environments × panels, with intervals (method.md §4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from steppo_jax import methods
from steppo_jax.figures import drawing
from steppo_jax.figures.cells import (
    CHOOSING,
    MEASURES,
    PANEL,
    Cell,
    by_environment,
    families,
    joined,
    of_runs,
    seeds_text,
)
from steppo_jax.figures.result import Missing, Result, Row
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare, iqm_interval

NAME = "main_table"
COMMAND = (
    "python -m experiments.ablate --config=configs/ablations/main_table.py "
    "--workdir=DIR"
)
VARIED = ("credit.", "objective.", "branching.", "kl.", "rollout.")
FIRST = "steppo"  # what the others are compared with


def preset_of(run: Run) -> str | None:
    """The method a run is, unless its point of the grid was moved."""
    name = run.settings["preset"].partition(":")[2].partition(",")[0]
    if name not in methods.METHODS:
        return None
    fields = methods.METHODS[name].fields
    same = all(
        run.settings[field] == value
        for field, value in fields.items()
        if not field.startswith("rollout.")
    )
    return name if same else None


def tables(runs: Sequence[Run]) -> dict[str, dict[str, Cell]]:
    """Environment → method → its cell, all of one setting; the largest such family."""
    cells = of_runs([run for run in runs if preset_of(run)])
    found = {}
    for environment, group in by_environment(cells).items():
        table: dict[str, Cell] = {}
        for cell in families(group, VARIED)[0]:
            name = preset_of(cell.runs[0])
            if name not in table or len(cell.runs) > len(table[name].runs):
                table[name] = Cell(name, cell.runs)
        order = sorted(table, key=list(methods.METHODS).index)
        found[environment] = {name: table[name] for name in order}
    return found


def panels_of(cell: Cell) -> list[str]:
    """Panels played after training, the chosen ones of the tables first."""
    names = {e.panel for run in cell.runs for e in run.evaluations if run.last(e.panel)}
    first = [name for name in (CHOOSING, PANEL) if name in names]
    return first + sorted(names - set(first) - {"train"})


def measures_of(cell: Cell) -> list[str]:
    extra = MEASURES.get(cell.environment)
    columns = cell.runs[0].last(PANEL).columns
    return ["success", *([extra] if extra in columns else [])]


def rows_of(found: dict[str, dict[str, Cell]]) -> list[Row]:
    rows = []
    for environment, table in found.items():
        for method, cell in table.items():
            for panel in panels_of(cell):
                for measure in measures_of(cell):
                    if not cell.values(panel, measure):
                        continue
                    mean = cell.interval(panel, measure)
                    iqm = cell.iqm(panel, measure)
                    rows.append(
                        {
                            "environment": environment,
                            "method": method,
                            "panel": panel,
                            "measure": measure,
                            "seeds": len(cell.values(panel, measure)),
                            "iterations": cell.settings["iterations"],
                            "episodes": cell.mean(lambda r: r.totals["episodes"]),
                            "tokens": cell.mean(lambda r: r.totals["data/tokens"]),
                            "seconds": cell.mean(seconds),
                            "mean": mean.value,
                            "mean_low": mean.low,
                            "mean_high": mean.high,
                            "iqm": iqm.value,
                            "iqm_low": iqm.low,
                            "iqm_high": iqm.high,
                        }
                    )
    return rows


def seconds(run: Run) -> float:
    """Of rollouts and updates together."""
    return run.totals["time/rollout_seconds"] + run.totals["time/update_seconds"]


def comparisons(found: dict[str, dict[str, Cell]]) -> list[str]:
    lines = []
    for environment, table in found.items():
        base = FIRST if FIRST in table else next(iter(table))
        for method, cell in table.items():
            if method == base:
                continue
            found_one = compare(base, method, table[base].values(), cell.values())
            if found_one:
                lines.append(found_one.text(f" on {environment} ({PANEL})"))
    return lines


def overall(found: dict[str, dict[str, Cell]]) -> list[str]:
    """One line per method that every environment has: IQM over all its runs."""
    if len(found) < 2:
        return []
    common = [
        m for m in next(iter(found.values())) if all(m in t for t in found.values())
    ]
    lines = []
    for method in common:
        strata = [list(table[method].values().values()) for table in found.values()]
        interval = iqm_interval(strata)
        lines.append(
            f"{method}: interquartile mean {interval.text()} of success over "
            f"{sum(map(len, strata))} runs on {len(found)} environments ({PANEL}, "
            "bootstrap inside each environment)."
        )
    return lines


def make(runs: Sequence[Run]) -> Result | Missing:
    found = {e: t for e, t in tables(runs).items() if len(t) > 1}
    if not found:
        return Missing(NAME, "two presets trained alike on one environment", COMMAND)
    rows = rows_of(found)
    cells = [cell for table in found.values() for cell in table.values()]
    highest = []
    for environment, table in found.items():
        best = max(table, key=lambda m: table[m].interval().value)
        at = table[best].interval()
        highest.append(f"{best} ({at.value:.3f}) on {environment}")
    return Result(
        name=NAME,
        title="Methods on the environments",
        shows=(
            f"Success after training on the {PANEL} panels, {seeds_text(cells)} per "
            f"method. The highest mean: {joined(highest)}; the comparisons say which "
            "of these leads the seeds support."
        ),
        limits=(
            "A ranking where intervals overlap, and tuned methods: each "
            "has its preset, and group methods meet fewer tasks in the same episodes. "
            "Cost stands beside every row; equal episodes are not equal compute."
        ),
        rows=rows,
        draw=lambda: draw(found),
        comparisons=[*comparisons(found), *overall(found)],
    )


def draw(found: dict[str, dict[str, Cell]]) -> Figure:
    names = list(dict.fromkeys(m for table in found.values() for m in table))
    look = drawing.colours(names)
    figure, axes = drawing.canvas(
        2, len(found), width=max(2.6, 9.6 / len(found)), height=2.7
    )
    for column, (environment, table) in enumerate(found.items()):
        top, bottom = axes[:, column]
        here = [name for name in names if name in table]
        for place, name in enumerate(here):
            at = table[name].interval()
            values = list(table[name].values().values())
            colour, mark = look[name]
            for each in (top, bottom):
                x = place if each is top else table[name].mean(seconds) / 60
                each.errorbar(
                    x,
                    at.value,
                    yerr=drawing.bars([at.value], [at.low], [at.high]),
                    fmt=mark,
                    color=colour,
                    capsize=3,
                    ms=6,
                    zorder=3,
                    label=name,
                )
            top.scatter(
                [place + 0.18] * len(values), values, s=7, color=colour, alpha=0.5
            )
        top.set_xticks(range(len(here)), here, rotation=40, ha="right")
        top.set_xlim(-0.5, len(here) - 0.5)
        top.set_title(environment, fontsize=9, loc="left")
        bottom.set(xlabel="minutes of rollout and update")
        bottom.set_xlim(0, 1.15 * bottom.dataLim.x1)
        for each in (top, bottom):
            each.set_ylim(-0.02, 1.02)
    axes[0, 0].set_ylabel(f"success, {PANEL}")
    axes[1, 0].set_ylabel(f"success, {PANEL}")
    heading = (
        "Success after training: mean and 95 % t interval over seeds, dots are seeds"
    )
    drawing.finish(figure, heading)
    drawing.legend_below(figure)
    return figure
