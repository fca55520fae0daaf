"""Figure 2: step or token credit × step or token ratio (method.md §4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from steppo_jax.figures import drawing
from steppo_jax.figures.cells import PANEL, Cell, families, of_runs, seeds_text
from steppo_jax.figures.result import Missing, Result, sign
from steppo_jax.intervals import mean_t
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import compare

NAME = "credit_ratio"
COMMAND = (
    "python -m experiments.ablate --config=configs/ablations/credit_ratio.py "
    "--workdir=DIR"
)
CREDITS = ("step_gae", "token_gae")
RATIOS = ("step", "token")
VARIED = ("credit.estimator", "objective.ratio")
Square = dict[tuple[str, str], Cell]


def square(cells: Sequence[Cell]) -> Square:
    """The four cells of one setting that have the most runs; fewer where it lacks."""
    best: Square = {}
    for family in families(cells, VARIED):
        found: Square = {}
        for cell in sorted(family, key=lambda c: (-len(c.runs), c.label)):
            key = (cell.settings["credit.estimator"], cell.settings["objective.ratio"])
            if key[0] in CREDITS and key[1] in RATIOS:
                found.setdefault(key, cell)
        size = (len(found), sum(len(c.runs) for c in found.values()))
        if size > (len(best), sum(len(c.runs) for c in best.values())):
            best = found
    return best


def make(runs: Sequence[Run]) -> Result | Missing:
    found = square(of_runs(runs))
    if len(found) < 4:
        have = ", ".join(f"{c} × {r}" for c, r in found) or "none"
        return Missing(NAME, f"all four of credit × ratio (there: {have})", COMMAND)
    cells = {(c, r): found[c, r] for c in CREDITS for r in RATIOS}
    rows = []
    for (credit, ratio), cell in cells.items():
        mean, iqm = cell.interval(), cell.iqm()
        rows.append(
            {
                "environment": cell.environment,
                "credit": credit,
                "ratio": ratio,
                "clip_low": cell.settings["objective.clip_low"],
                "clip_high": cell.settings["objective.clip_high"],
                "gamma": cell.settings["credit.gamma"],
                "lam": cell.settings["credit.lam"],
                "seeds": len(cell.values()),
                "mean": mean.value,
                "low": mean.low,
                "high": mean.high,
                "iqm": iqm.value,
                "iqm_low": iqm.low,
                "iqm_high": iqm.high,
            }
        )
    effects = {
        "credit": _effect(cells, lambda c, r: 1 if c == "step_gae" else -1),
        "ratio": _effect(cells, lambda c, r: 1 if r == "step" else -1),
        "interaction": _effect(
            cells, lambda c, r: 1 if (c == "step_gae") == (r == "step") else -1
        ),
    }
    told = "; ".join(
        f"{name} {sign(e.value)} [{sign(e.low)}, {sign(e.high)}]"
        for name, e in effects.items()
    )
    clips = ", ".join(
        f"{r} ratio ±{found['step_gae', r].settings['objective.clip_low']:g}"
        for r in RATIOS
    )
    environment = rows[0]["environment"]
    seeds = seeds_text(list(cells.values()))
    return Result(
        name=NAME,
        title=f"Credit × ratio on {environment}",
        shows=(
            f"Success on {PANEL} of the four combinations, {seeds} each. "
            f"Mean effect of step over token, paired by seed: {told}."
        ),
        limits=(
            f"One environment, one (γ, λ), one clip per ratio ({clips}): another clip "
            "may change the effect of the ratio, another unit of γ that of the credit."
        ),
        rows=rows,
        draw=lambda: draw(cells),
        comparisons=_comparisons(cells),
    )


def _effect(cells: Square, side):
    """Half of the signed sum per seed: the mean effect of one factor."""
    values = {key: cell.values() for key, cell in cells.items()}
    seeds = sorted(set.intersection(*(set(v) for v in values.values())))
    if not seeds:
        return mean_t([float("nan")])
    return mean_t(
        [sum(side(*key) * v[s] for key, v in values.items()) / 2 for s in seeds]
    )


def _comparisons(cells: Square) -> list[str]:
    first = cells["step_gae", "step"]
    lines = []
    for (credit, ratio), cell in cells.items():
        if cell is not first:
            name = f"{credit} with {ratio} ratio"
            found = compare(
                "step_gae with step ratio", name, first.values(), cell.values()
            )
            lines += [found.text()] if found else []
    return lines


def draw(cells: Square) -> Figure:
    figure, axes = drawing.canvas(1, 1, width=5.4, height=3.4)
    look = drawing.colours(CREDITS)
    for place, ((credit, ratio), cell) in enumerate(cells.items()):
        at, values = cell.interval(), list(cell.values().values())
        colour, _ = look[credit]
        axes[0, 0].bar(
            place,
            at.value,
            width=0.62,
            color=colour if ratio == "step" else "white",
            edgecolor=colour,
            hatch=None if ratio == "step" else "///",
            alpha=0.85,
        )
        axes[0, 0].errorbar(
            place,
            at.value,
            yerr=drawing.bars([at.value], [at.low], [at.high]),
            color="black",
            capsize=4,
            lw=1.2,
        )
        axes[0, 0].scatter(
            [place + 0.2] * len(values),
            values,
            s=10,
            color="black",
            alpha=0.6,
            zorder=4,
        )
    names = [f"{c}\n{r} ratio" for c, r in cells]
    axes[0, 0].set_xticks(range(len(names)), names)
    axes[0, 0].set(ylim=(0, 1), ylabel=f"success, {PANEL}")
    environment = next(iter(cells.values())).environment
    return drawing.finish(
        figure, f"{environment}: mean, 95 % t interval, dots are seeds"
    )
