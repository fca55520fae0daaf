"""Figure 5: sensitivity to γ, a heat map γ × λ of each method (method.md §4.4)."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from steppo_jax.figures import drawing
from steppo_jax.figures.cells import PANEL, Cell, families, joined, of_runs, seeds_text
from steppo_jax.figures.result import Missing, Result, sign
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare

NAME = "discount"
COMMAND = (
    "python -m experiments.ablate --config=configs/ablations/discount.py --workdir=DIR"
)
CREDITS = ("step_gae", "token_gae")
VARIED = ("credit.estimator", "credit.gamma", "credit.lam", "objective.ratio")
Table = dict[tuple[float, float], Cell]  # (γ, λ) → cell


def tables(cells: Sequence[Cell]) -> dict[str, Table]:
    """Estimator → its cells by (γ, λ), of the setting that tried the most values.

    Where an estimator ran with both ratios, the ratio with more values is taken.
    """
    best: dict[str, Table] = {}
    for family in families(cells, VARIED):
        by_ratio: dict[str, dict[str, Table]] = collections.defaultdict(dict)
        for cell in sorted(family, key=lambda c: -len(c.runs)):
            s = cell.settings
            if s["credit.estimator"] in CREDITS and s["credit.lam"] is not None:
                by = by_ratio[s["credit.estimator"]]
                table = by.setdefault(s["objective.ratio"], {})
                table.setdefault((s["credit.gamma"], s["credit.lam"]), cell)
        found = {
            name: max(by_ratio[name].values(), key=len)
            for name in CREDITS
            if name in by_ratio
        }
        if sum(map(len, found.values())) > sum(map(len, best.values())):
            best = found
    return best


def usual_lam(table: Table) -> float:
    """The λ with the most γ, the largest of those."""
    counts = collections.Counter(lam for _, lam in table)
    return max(counts, key=lambda lam: (counts[lam], lam))


def at_lam(table: Table, lam: float) -> dict[float, Cell]:
    return {g: cell for (g, x), cell in sorted(table.items()) if x == lam}


def make(runs: Sequence[Run]) -> Result | Missing:
    found = tables(of_runs(runs))
    lines = {name: at_lam(t, usual_lam(t)) for name, t in found.items()}
    if len(found) < 2 or any(len(line) < 2 for line in lines.values()):
        needs = "step_gae and token_gae with at least two γ at one λ"
        return Missing(NAME, needs, COMMAND)
    rows = []
    for name, table in found.items():
        for (gamma, lam), cell in sorted(table.items()):
            mean = cell.interval()
            rows.append(
                {
                    "environment": cell.environment,
                    "credit": name,
                    "ratio": cell.settings["objective.ratio"],
                    "gamma": gamma,
                    "lam": lam,
                    "seeds": len(cell.values()),
                    "tokens_per_response": tokens_per_response(cell),
                    "mean": mean.value,
                    "low": mean.low,
                    "high": mean.high,
                }
            )
    told, comparisons = [], []
    for name, line in lines.items():
        low, high = min(line), max(line)
        one = compare(
            f"{name} γ={high:g}",
            f"γ={low:g}",
            line[high].values(),
            line[low].values(),
        )
        if one:
            comparisons.append(one.text())
        ends = [line[g].interval().value for g in (high, low)]
        told.append(f"{name} {sign(ends[1] - ends[0])} from γ={high:g} to γ={low:g}")
    comparisons += _sensitivity(lines)
    cells = [c for t in found.values() for c in t.values()]
    ratios = {c.settings["objective.ratio"] for c in cells}
    return Result(
        name=NAME,
        title=f"Sensitivity to the discount on {cells[0].environment}",
        shows=(
            f"Success on {PANEL} by γ at one λ ("
            + joined([f"{n}: λ={usual_lam(t):g}" for n, t in found.items()])
            + f") and over all (γ, λ) tried; {seeds_text(cells)}. Change of the mean: "
            + f"{joined(told)}."
        ),
        limits=(
            "γ and λ are per step for step_gae and per token for token_gae: the same "
            "number is another horizon, so a difference in sensitivity may be a change "
            f"of unit. Ratio: {joined(sorted(ratios))}."
        ),
        rows=rows,
        draw=lambda: draw(found, lines),
        comparisons=comparisons,
    )


def _sensitivity(lines: dict[str, dict[float, Cell]]) -> list[str]:
    """Whether the fall from the highest to the lowest common γ differs."""
    common = sorted(set.intersection(*(set(line) for line in lines.values())))
    if len(common) < 2:
        return []
    falls = []
    for line in lines.values():
        high, low = line[common[-1]].values(), line[common[0]].values()
        falls.append({s: low[s] - high[s] for s in high.keys() & low.keys()})
    if not all(falls):
        return []
    one = compare(*lines, *falls)
    what = f", change from γ={common[-1]:g} to γ={common[0]:g}"
    return [one.text(what)] if one else []


def tokens_per_response(cell: Cell) -> float:
    """Measured over the whole training, mean over seeds."""
    return cell.mean(lambda r: r.totals["data/tokens"] / r.totals["data/steps"])


def draw(found: dict[str, Table], lines: dict[str, dict[float, Cell]]) -> Figure:
    maps = {n: t for n, t in found.items() if len({lam for _, lam in t}) > 1}
    figure, axes = drawing.canvas(1, 1 + len(maps), width=3.7, height=3.2)
    look = drawing.colours(found)
    for number, (name, line) in enumerate(lines.items()):
        colour, mark = look[name]
        seen = [cell.interval() for cell in line.values()]
        axes[0, 0].errorbar(
            np.array(list(line)) + 0.001 * (number - 0.5),
            [i.value for i in seen],
            yerr=drawing.bars(
                *([getattr(i, n) for i in seen] for n in ("value", "low", "high"))
            ),
            color=colour,
            marker=mark,
            ms=5,
            capsize=3,
            label=f"{name}, λ={usual_lam(found[name]):g}",
        )
    axes[0, 0].set(xlabel="γ", ylabel=f"success, {PANEL}", ylim=(0, 1.02))
    axes[0, 0].legend(frameon=False, fontsize=8, loc="best")
    means = [c.interval().value for t in maps.values() for c in t.values()]
    drawing.finish(figure)
    for each, (name, table) in zip(axes[0, 1:], maps.items(), strict=True):
        gammas = sorted({g for g, _ in table})
        lams = sorted({lam for _, lam in table})
        grid = np.full((len(lams), len(gammas)), np.nan)
        for (g, lam), cell in table.items():
            grid[lams.index(lam), gammas.index(g)] = cell.interval().value
        each.imshow(
            grid, origin="lower", vmin=min(means), vmax=max(means), cmap="cividis"
        )
        middle = (min(means) + max(means)) / 2
        for (i, j), value in np.ndenumerate(grid):
            text = "–" if np.isnan(value) else f"{value:.2f}"
            colour = "black" if np.isnan(value) or value > middle else "white"
            each.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
        each.set_xticks(range(len(gammas)), [f"{g:g}" for g in gammas])
        each.set_yticks(range(len(lams)), [f"{x:g}" for x in lams])
        each.set(xlabel="γ", ylabel="λ")
        each.set_title(f"{name}: mean success", fontsize=9, loc="left")
        each.grid(False)
    return figure
