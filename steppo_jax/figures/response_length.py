"""Figure 6: the gap between step and token credit as responses get longer.

Three ways to choose γ and λ, side by side. Only the second and third tell an effect of
granularity from a change of unit: at 64 tokens .99 per token is .53 per step.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from steppo_jax.figures import drawing
from steppo_jax.figures.cells import (
    CHOOSING,
    PANEL,
    Cell,
    families,
    of_runs,
    seeds_text,
)
from steppo_jax.figures.discount import CREDITS, tokens_per_response
from steppo_jax.figures.result import Missing, Result, sign
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import Comparison, compare

NAME = "response_length"
COMMAND = (
    "python -m experiments.ablate --config=configs/ablations/response_length.py "
    "--workdir=DIR"
)
VARIED = (
    "credit.estimator",
    "credit.gamma",
    "credit.lam",
    "objective.ratio",
    "env.think_tokens",
)
CASES = {
    "fixed": "the same γ and λ",
    "matched": "units matched",
    "best": f"each at its best on {CHOOSING}",
}
CLOSE = 0.05  # relative: what the two implied lengths of a matched pair may differ by


@dataclasses.dataclass(frozen=True)
class Point:
    """Step against token credit at one number of thought tokens."""

    case: str
    think: int
    step: Cell
    token: Cell
    gap: Comparison


def implied_length(step: Cell, token: Cell) -> float | None:
    """L with γ_token = γ_step^(1/L) and λ likewise; None if the two disagree.

    Where γ_step = γ_token = 1 the λ alone say it. L = 1 is no match.
    """
    found = []
    for name in ("credit.gamma", "credit.lam"):
        one, two = step.settings[name], token.settings[name]
        if one == two == 1:
            continue
        if not 0 < one < 1 or not 0 < two < 1:
            return None
        found.append(math.log(one) / math.log(two))
    if not found or max(found) > (1 + CLOSE) * min(found) or max(found) < 1 + CLOSE:
        return None
    return sum(found) / len(found)


def pairs(family: Sequence[Cell]) -> list[Point]:
    """All points of a family, by case and length."""
    points = []
    for think in sorted({c.settings["env.think_tokens"] for c in family}):
        here = [c for c in family if c.settings["env.think_tokens"] == think]
        steps, tokens = (
            sorted(
                (c for c in here if c.settings["credit.estimator"] == name),
                key=lambda c: (-len(c.runs), c.label),
            )
            for name in CREDITS
        )
        chosen = {
            "fixed": _fixed(steps, tokens),
            "matched": _matched(steps, tokens),
            "best": _best(steps, tokens),
        }
        for case, pair in chosen.items():
            if pair:
                gap = compare(*CREDITS, *(c.values() for c in pair))
                if gap:
                    points.append(Point(case, think, *pair, gap))
    return sorted(points, key=lambda p: list(CASES).index(p.case))


def _numbers(cell: Cell) -> tuple:
    return cell.settings["credit.gamma"], cell.settings["credit.lam"]


def _fixed(steps, tokens):
    """The pair with equal γ and λ that is nearest to the presets' (.99, .95)."""
    found = [(s, t) for s in steps for t in tokens if _numbers(s) == _numbers(t)]
    found = [p for p in found if None not in _numbers(p[0])]

    def far(pair) -> float:
        gamma, lam = _numbers(pair[0])
        return abs(gamma - 0.99) + abs(lam - 0.95)

    return min(found, key=far, default=None)


def _matched(steps, tokens):
    """The pair whose implied length is nearest to the measured one."""
    found = [
        (abs(math.log(length / tokens_per_response(s))), s, t)
        for s in steps
        for t in tokens
        if None not in (*_numbers(s), *_numbers(t))
        and (length := implied_length(s, t)) is not None
    ]
    return min(found, key=lambda x: x[0])[1:] if found else None


def _best(steps, tokens):
    """Each at its best on the panel for choosing, where there was a choice."""
    if len(steps) < 2 or len(tokens) < 2:
        return None
    return tuple(
        max(cs, key=lambda c: c.interval(CHOOSING).value) for cs in (steps, tokens)
    )


def make(runs: Sequence[Run]) -> Result | Missing:
    best: list[Point] = []
    for family in families(of_runs(runs), VARIED):
        points = pairs(family)
        if len({p.think for p in points}) > max(1, len({p.think for p in best})):
            best = points
    if not best:
        needs = "step_gae and token_gae at two or more env.think_tokens"
        return Missing(NAME, needs, COMMAND)
    rows = [_row(p) for p in best]
    told = []
    for case, label in CASES.items():
        points = [p for p in best if p.case == case]
        if points:
            gaps = [
                f"{sign(p.gap.difference.value)} at {p.think}"
                f"{'' if _clear(p) else ' (tie)'}"
                for p in points
            ]
            told.append(f"{label}: {', '.join(gaps)}")
    missing = [
        label for case, label in CASES.items() if case not in {p.case for p in best}
    ]
    cells = [c for p in best for c in (p.step, p.token)]
    return Result(
        name=NAME,
        title=f"Response length on {cells[0].environment}",
        shows=(
            f"Success of step credit minus token credit on {PANEL}, paired by seed "
            f"({seeds_text(cells)}), by the number of thought tokens allowed per step. "
            f"{'; '.join(told)}."
        ),
        limits=(
            "Thoughts here are free tokens without meaning of their own, not "
            "reasoning. The measured length, often below the allowed one, "
            "stands in the table. “Best” is chosen among the (γ, λ) that were run."
            + (f" Without runs: {', '.join(missing)}." if missing else "")
        ),
        rows=rows,
        draw=lambda: draw(best),
        comparisons=[
            gap.text(f"{of}, {CASES[p.case]}, {p.think} thought tokens")
            for p in best
            for of, gap in (("", p.gap), (", final tokens per response", lengths(p)))
            if gap
        ],
    )


def lengths(p: Point) -> Comparison | None:
    """Tokens per response in the last tenth of training, paired by seed."""
    return compare(*CREDITS, final_length(p.step), final_length(p.token))


def final_length(cell: Cell) -> dict[int, float]:
    """Seed → mean tokens per response in the last tenth of training."""
    found = {}
    for run in cell.runs:
        curve = run.metrics.get("train/tokens_per_response", ())
        if len(curve):
            found[run.seed] = float(np.nanmean(curve[-(len(curve) // 10 or 1) :]))
    return found


def _clear(p: Point) -> bool:
    return p.gap.difference.low > 0 or p.gap.difference.high < 0


def _row(p: Point) -> dict:
    settings = {
        f"{name}_{key}": cell.settings[f"credit.{key}"]
        for name, cell in (("step", p.step), ("token", p.token))
        for key in ("gamma", "lam")
    }
    length = implied_length(p.step, p.token) if None not in settings.values() else None
    return {
        "environment": p.step.environment,
        "case": p.case,
        "think_tokens": p.think,
        **settings,
        "step_ratio": p.step.settings["objective.ratio"],
        "token_ratio": p.token.settings["objective.ratio"],
        "step_tokens_per_response": tokens_per_response(p.step),
        "token_tokens_per_response": tokens_per_response(p.token),
        "matched_length": length,
        "step": p.step.interval().value,
        "token": p.token.interval().value,
        "seeds": p.gap.seeds,
        "gap": p.gap.difference.value,
        "gap_low": p.gap.difference.low,
        "gap_high": p.gap.difference.high,
        "improvement": p.gap.improvement,
        "detectable": p.gap.detectable,
    }


def draw(points: Sequence[Point]) -> Figure:
    cases = [case for case in CASES if any(p.case == case for p in points)]
    figure, axes = drawing.canvas(2, len(cases), width=3.3, height=2.4, sharey="row")
    look = drawing.colours(CREDITS)
    for column, case in enumerate(cases):
        here = [p for p in points if p.case == case]
        places = range(len(here))
        for aside, name, side in zip(
            (-0.02, 0.02), CREDITS, ("step", "token"), strict=True
        ):
            seen = [getattr(p, side).interval() for p in here]
            axes[0, column].errorbar(
                [x + aside for x in places],
                [i.value for i in seen],
                yerr=drawing.bars(
                    *([getattr(i, n) for i in seen] for n in ("value", "low", "high"))
                ),
                color=look[name][0],
                marker=look[name][1],
                ms=5,
                capsize=3,
                label=name,
            )
        gaps = [p.gap.difference for p in here]
        axes[1, column].errorbar(
            places,
            [i.value for i in gaps],
            yerr=drawing.bars(
                *([getattr(i, n) for i in gaps] for n in ("value", "low", "high"))
            ),
            color="black",
            marker="o",
            ms=5,
            capsize=3,
        )
        axes[1, column].axhline(0, color=drawing.QUIET, lw=0.8)
        axes[0, column].set_title(CASES[case], fontsize=9, loc="left")
        axes[1, column].set_xlabel("thought tokens allowed")
        for row in (0, 1):
            axes[row, column].set_xticks(places, [str(p.think) for p in here])
    axes[0, 0].set(ylabel=f"success, {PANEL}", ylim=(0, 1.02))
    axes[1, 0].set_ylabel("step − token")
    axes[0, 0].legend(frameon=False, fontsize=8)
    return drawing.finish(figure)
