"""What each chip sends as a slice grows (`experiments.weak_scaling`), drawn."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from steppo_jax import hlo
from steppo_jax.figures import drawing
from steppo_jax.figures.result import Result, Row


def draw(rows: Sequence[Row]) -> Figure:
    figure, ((axes,),) = drawing.canvas(1, 1, 5.2, 3.6)
    chips = [r["chips"] for r in rows]
    shown = [k for k in (*hlo.KINDS, "rollout") if any(r.get(k) for r in rows)]
    for name, (colour, mark) in drawing.colours(["update", *shown]).items():
        label = "update, all kinds" if name == "update" else name
        axes.plot(chips, [r[name] for r in rows], mark, ls="-", c=colour, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(chips, [str(n) for n in chips])
    axes.set_yscale("log", nonpositive="mask")  # growth with the slice is a line
    axes.set_xlabel("chips, as many trajectories on each")
    axes.set_ylabel("MiB that arrive at a chip")
    drawing.legend_below(figure, 3)
    return drawing.finish(figure)


def result(title: str, rows: Sequence[Row]) -> Result:
    """The figure of MiB that arrive at each chip, a row for each slice.

    Args:
      title: the config and how it is laid out.
    """
    first, last = rows[0], rows[-1]
    each = first["trajectories"] / first["chips"]
    shows = (
        f"An update sends {first['update']:.2f} MiB to each of {first['chips']} chips "
        f"and {last['update']:.2f} MiB to each of {last['chips']}: "
        f"{last['update'] / first['update']:.2f} times."
    )
    if "rollout" in first:
        shows += (
            f" A rollout sends {first['rollout']:.3f} and {last['rollout']:.3f} MiB, "
            f"the policy's weights are {first['weights']:.3f}."
        )
    return Result(
        name="weak_scaling",
        title=f"{title}, {each:g} trajectories a chip",
        shows=shows,
        limits="Seconds: bytes are the compiler's plan, not a measurement, and how "
        "long they take depends on the links between chips and between hosts.",
        rows=rows,
        draw=lambda: draw(rows),
    )
