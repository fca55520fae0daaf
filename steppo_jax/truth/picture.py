"""The studies as one picture: six panels, one question each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steppo_jax.truth.rows import Row

INK = "#1f3b5c"
COLOURS = {
    "step_gae": "#1f3b5c",
    "token_gae": "#c1440e",
    "bi_level_gae": "#2a7f62",
    "reinforce_pp": "#8e44ad",
    "rloo": "#b8860b",
}
LABELS = {"step_gae": "step GAE", "token_gae": "token GAE", "bi_level_gae": "bi-level"}


def draw(rows: Sequence[Row], mdp: str, heading: str) -> Figure:
    """Panels for the grid of one MDP, lengths, limits and whitening."""
    figure = Figure(figsize=(13.5, 7.6), layout="constrained")
    axes = figure.subplots(2, 3)
    grid = [row for row in rows if row["part"] == "grid" and row["mdp"] == mdp]
    _bias(axes[0, 0], grid, mdp)
    _spread(axes[0, 1], grid, mdp)
    _length(axes[0, 2], rows)
    _fixed_point(axes[1, 0], rows)
    _truncation(axes[1, 1], rows)
    _whitening(axes[1, 2], rows)
    figure.suptitle(heading, fontsize=11, x=0.01, ha="left", color=INK)
    for each in axes.ravel():
        each.spines[["top", "right"]].set_visible(False)
        each.grid(alpha=0.25, lw=0.6)
        each.tick_params(labelsize=9)
        if each.get_legend_handles_labels()[0]:
            each.legend(frameon=False, fontsize=8)
    return figure


def _pick(rows: Sequence[Row], **wanted) -> list[Row]:
    return [r for r in rows if all(r.get(k) == v for k, v in wanted.items())]


def _of(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([np.nan if r.get(name) is None else r[name] for r in rows], float)


def _bias(axes: Axes, grid: Sequence[Row], mdp: str) -> None:
    for name, label in LABELS.items():
        for gamma, style in ((1.0, "-"), (0.9, "--")):
            found = _pick(grid, estimator=name, critic="wrong", gamma=gamma)
            seen = _of(found, "gradient_bias_se")
            axes.errorbar(
                _of(found, "lam"),
                np.where(np.isnan(seen), 0, _of(found, "gradient_bias")),
                yerr=np.nan_to_num(seen),
                color=COLOURS[name],
                ls=style,
                marker="o",
                ms=4,
                capsize=2,
                label=f"{label}, γ = {gamma:g}",
            )
    axes.set_title(f"{mdp}: a wrong critic, bias of the gradient", fontsize=9)
    axes.set(xlabel="λ", ylabel="relative bias (0: none seen)")


def _spread(axes: Axes, grid: Sequence[Row], mdp: str) -> None:
    for name, label in LABELS.items():
        for gamma, style in ((1.0, "-"), (0.9, "--")):
            found = _pick(grid, estimator=name, critic="exact", gamma=gamma)
            axes.plot(
                _of(found, "lam"),
                _of(found, "gradient_std"),
                color=COLOURS[name],
                ls=style,
                marker="o",
                ms=4,
                label=f"{label}, γ = {gamma:g}",
            )
    for name in ("rloo", "reinforce_pp"):
        for row in _pick(grid, estimator=name)[:1]:
            axes.axhline(row["gradient_std"], color=COLOURS[name], lw=1, ls=":")
            axes.annotate(name, (0.02, row["gradient_std"]), fontsize=8, va="bottom")
    axes.set_title(f"{mdp}: the exact critic, spread of a batch gradient", fontsize=9)
    axes.set(xlabel="λ", ylabel="standard deviation / ‖aim‖")


def _length(axes: Axes, rows: Sequence[Row]) -> None:
    styles = {
        "γ per step": ("step_gae", "-"),
        "γ per token": ("token_gae", "-"),
        "γ per token, unit-matched": ("token_gae", ":"),
    }
    exact = _pick(rows, part="length", how="exact")
    for case, (name, style) in styles.items():
        for gamma, mark in ((0.99, "o"), (0.95, "s")):
            found = _pick(exact, case=case, gamma=gamma)
            axes.plot(
                _of(found, "x"),
                _of(found, "task_bias"),
                color=COLOURS[name],
                ls=style,
                marker=mark,
                ms=4,
                label=f"{case}, γ = {gamma:g}",
            )
    axes.set_xscale("log", base=2)
    axes.set_title("chain: error against ∇J as thoughts grow (exact)", fontsize=9)
    axes.set(xlabel="mean tokens per response", ylabel="‖g − ∇J‖ / ‖∇J‖")


def _fixed_point(axes: Axes, rows: Sequence[Row]) -> None:
    rows = _pick(rows, part="fixed point")
    for case, name in (
        ("bootstrapped", "step_gae"),
        ("taken for the end", "token_gae"),
    ):
        found = _pick(rows, case=case)
        color = COLOURS[name]
        axes.plot(_of(found, "lam"), _of(found, "value"), "o", color=color, label=case)
        axes.plot(_of(found, "lam"), _of(found, "expected"), "-", color=color, lw=1)
    axes.set_title("work: fixed point of the critic (line: closed form)", fontsize=9)
    axes.set(xlabel="λ", ylabel="V", ylim=(0, None))


def _truncation(axes: Axes, rows: Sequence[Row]) -> None:
    rows = _pick(rows, part="truncation")
    cases = (
        ("step_gae", 1.0, "bootstrapped", "-"),
        ("step_gae", 1.0, "ignored", "--"),
        ("step_gae", 0.8, "ignored", ":"),
        ("reinforce_pp", None, "nothing to bootstrap from", "--"),
        ("rloo", None, "nothing to bootstrap from", "--"),
    )
    for name, lam, case, style in cases:
        found = _pick(rows, estimator=name, lam=lam, case=case)
        told = "" if lam is None else f" λ = {lam:g}, {case}"
        axes.errorbar(
            _of(found, "x"),
            _of(found, "slope"),
            yerr=_of(found, "slope_se"),
            color=COLOURS[name],
            ls=style,
            marker="o",
            ms=4,
            capsize=2,
            label=LABELS.get(name, name) + told,
        )
    axes.axhline(1, color="grey", lw=0.8)
    axes.set_title("chain without an end: what the limit cuts", fontsize=9)
    axes.set(xlabel="share of episodes cut", ylabel="length of E g along the truth")
    axes.set_ylim(0.9, 2.5)  # room for the legend


def _whitening(axes: Axes, rows: Sequence[Row]) -> None:
    rows = _pick(rows, part="whitening")
    marks = {"none": "o", "batch": "s", "token_batch": "^"}
    fills = {"constant": "#1f3b5c", "step": "#c1440e"}
    for row in rows:
        axes.errorbar(
            row["length_cosine"],
            row["cosine"],
            xerr=row["length_cosine_se"],
            yerr=row["cosine_se"],
            marker=marks[row["normalise"]],
            color=fills[row["aggregate"]],
            mfc="white" if row["critic"] == "zero" else None,
            ms=6,
            lw=0.8,
        )
    for name, mark in marks.items():
        axes.plot([], [], mark, color="grey", label=f"whitening: {name}")
    for name, fill in fills.items():
        axes.plot([], [], "o", color=fill, label=f"aggregate: {name}")
    axes.plot([], [], "o", color="grey", mfc="white", label="zero critic (open)")
    axes.set_title("chain, 8 thoughts: direction of the expected gradient", fontsize=9)
    axes.set(xlabel="cosine with ∇ response length", ylabel="cosine with ∇J")
