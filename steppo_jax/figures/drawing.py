"""One look for all figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure

INK, QUIET = "#1f3b5c", "#6b7785"
COLOURS = (
    "#1f3b5c",
    "#c1440e",
    "#2a7f62",
    "#8e44ad",
    "#b8860b",
    "#3d8bbd",
    "#a23b5a",
    "#5d6d1e",
    "#7f6000",
    "#555555",
)
MARKS = "osD^vPX<>*"
KNOWN = {"step_gae": 0, "token_gae": 1, "steppo": 0, "ppo": 1, "grpo": 2, "gigpo": 3}


def colours(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name → (colour, mark): the same name looks alike in every figure."""
    names = list(dict.fromkeys(names))
    taken = {KNOWN[name] for name in names if name in KNOWN}
    free = [i for i in range(len(COLOURS)) if i not in taken]
    found, used = {}, 0
    for name in names:
        place = KNOWN.get(name)
        if place is None:
            place = free[used % len(free)] if free else used % len(COLOURS)
            used += 1
        found[name] = (COLOURS[place], MARKS[place % len(MARKS)])
    return found


def canvas(
    rows: int, columns: int, width: float = 3.6, height: float = 3.0, **kwargs
) -> tuple[Figure, np.ndarray]:
    """An empty figure and its axes [rows, columns]."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def finish(figure: Figure, heading: str | None = None) -> Figure:
    """Quiet frames, a light grid, and legends where there is something to name."""
    if heading:
        figure.suptitle(heading, fontsize=11, x=0.01, ha="left", color=INK)
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            continue
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
        axes.xaxis.label.set_size(9)
        axes.yaxis.label.set_size(9)
    return figure


def legend_below(figure: Figure, columns: int = 6) -> None:
    """One legend for the whole figure, under it: every label once."""
    found = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(
            found.values(),
            found.keys(),
            loc="outside lower center",
            ncols=min(columns, len(found)),
            frameon=False,
            fontsize=8,
        )


def bars(value: Sequence[float], low: Sequence[float], high: Sequence[float]):
    """`yerr` of an interval; no bar where there is none."""
    value, low, high = (np.asarray(x, float) for x in (value, low, high))
    return np.nan_to_num(np.maximum(np.stack([value - low, high - value]), 0))
