"""The learning curve of a run as a picture, from its files alone.

Reads config.json, metrics.jsonl and eval/*.jsonl; writes learning_curve.png and
learning_curve.svg beside them.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steppo_jax import metrics, panel_records, records, run_record

NAME = "learning_curve"
WINDOW = 9  # iterations in the smoothed line, centred
INK, LIGHT = "#1f3b5c", "#a9bdd3"
PANEL_COLOURS = ("#c1440e", "#2a7f62", "#8e44ad", "#b8860b")
PANEL_MARKS = ("o", "s", "^", "D")
SMALL = (  # small panels below: the first two of these that the run has
    (metrics.TOKENS, "tokens per response"),
    (metrics.EXPLAINED_VARIANCE, "explained variance of the critic"),
    (metrics.ENTROPY, "entropy per token"),
)


def smooth(values: Sequence[float], window: int = WINDOW) -> np.ndarray:
    """Centred mean over `window` places, over fewer at the ends; NaN is left out."""
    x = np.asarray(values, np.float64)
    kernel = np.ones(min(window, len(x)))
    known = np.isfinite(x)
    total = np.convolve(np.where(known, x, 0), kernel, mode="same")
    count = np.convolve(known.astype(float), kernel, mode="same")
    return np.divide(total, count, out=np.full(len(x), np.nan), where=count > 0)


def title(record: dict[str, Any]) -> str:
    """Preset, seed and commit of a run."""
    commit = record["commit"]
    short = "no commit" if commit is None else f"commit {commit[:8]}"
    if commit and "+" in commit:
        short += "+changes"
    config = record["config"]
    return f"{config['preset']}   seed {config['seed']}   {short}"


def column(lines: list[records.Record], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(iterations done, value) where the metric was written."""
    pairs = [(r["iteration"] + 1, r[name]) for r in lines if r.get(name) is not None]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], float)


def _curve(axes: Axes, lines: list[records.Record], name: str, label: str) -> None:
    done, value = column(lines, name)
    if len(done):
        axes.plot(done, value, color=LIGHT, lw=1)
        axes.plot(done, smooth(value), color=INK, lw=2, label=label)


def _panels(axes: Axes, found: dict[str, list[panel_records.Summary]]) -> None:
    reach = max((s.kind.iteration for each in found.values() for s in each), default=0)
    for place, (panel, summaries) in enumerate(found.items()):
        # Panels stand beside each other, so that no interval hides another.
        aside = 0.008 * reach * (2 * place - len(found) + 1)
        for decoding in sorted({s.kind.decoding for s in summaries}):
            chosen = [s for s in summaries if s.kind.decoding == decoding]
            value = np.array([s.success.value for s in chosen])
            low = np.array([s.success.low for s in chosen])
            high = np.array([s.success.high for s in chosen])
            axes.errorbar(
                [s.kind.iteration + aside for s in chosen],
                value,
                yerr=np.maximum(np.stack([value - low, high - value]), 0),
                fmt=PANEL_MARKS[place % len(PANEL_MARKS)],
                color=PANEL_COLOURS[place % len(PANEL_COLOURS)],
                capsize=3,
                ms=6,
                mfc="white" if decoding == "greedy" else None,
                zorder=3,
                label=f"{panel} panel, {decoding} ({chosen[0].episodes} tasks, 95 %)",
            )


def draw(
    lines: list[records.Record],
    found: dict[str, list[panel_records.Summary]],
    heading: str,
) -> Figure:
    """The figure for metrics lines and panel summaries."""
    small = [(n, label) for n, label in SMALL if len(column(lines, n)[0])][:2]
    figure = Figure(figsize=(8.5, 6.2 if small else 4.2), layout="constrained")
    rows = [["main", "main"]] + ([[n for n, _ in (small * 2)[:2]]] if small else [])
    axes = figure.subplot_mosaic(rows, height_ratios=[2.2, 1][: len(rows)])
    main = axes["main"]
    _curve(main, lines, metrics.SUCCESS, f"training episodes (mean over {WINDOW})")
    _panels(main, found)
    main.set(ylim=(-0.02, 1.02), ylabel="success", xlabel="iterations of training")
    main.set_title(heading, fontsize=11, loc="left", color=INK)
    if main.get_legend_handles_labels()[0]:
        main.legend(frameon=False, fontsize=9, loc="best")
    for name, label in small:
        _curve(axes[name], lines, name, label)
        axes[name].set_title(label, fontsize=9, loc="left")
        axes[name].set_xlabel("iterations of training", fontsize=9)
    for each in axes.values():
        each.spines[["top", "right"]].set_visible(False)
        each.grid(alpha=0.25, lw=0.6)
        each.tick_params(labelsize=9)
    return figure


def write(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Draws the run in `workdir`; returns the files made."""
    _, record = run_record.load(workdir)
    lines = metrics.read(workdir)
    figure = draw(lines, panel_records.read(workdir), title(record))
    paths = [workdir / f"{NAME}.png", workdir / f"{NAME}.svg"]
    # Without these two the same data would give another SVG every time.
    with matplotlib.rc_context({"svg.hashsalt": NAME}):
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
    return paths
