"""A figure on disk: NAME.svg, NAME.png, NAME.csv, NAME.txt."""

from __future__ import annotations

import pathlib
import textwrap

import matplotlib
from matplotlib.figure import Figure

from steppo_jax import records
from steppo_jax.figures.result import Result, csv_text
from steppo_jax.intervals import LEVEL, POWER
from steppo_jax.pages.rendering import PARAMETERS, svg_text

WIDTH = 88
COMPARED = (
    f"Comparisons: paired by seed, {LEVEL:.0%} t intervals, not corrected for their "
    f"number; the smallest detectable difference is the one that so many pairs would "
    f"find with {POWER:.0%} power."
)


def text_of(result: Result) -> str:
    """What it shows, what it does not, and every comparison."""
    parts = [result.title, result.shows, "What it does not show: " + result.limits]
    if result.comparisons:
        parts.append(COMPARED)
    lines = [textwrap.fill(part, WIDTH) for part in parts]
    lines += [
        "\n".join(
            textwrap.fill(line, WIDTH, subsequent_indent="  ")
            for line in result.comparisons
        )
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def write(result: Result, out: pathlib.Path, figure: Figure) -> list[pathlib.Path]:
    """The four files of a figure; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{result.name}.{end}" for end in ("svg", "png", "csv", "txt")]
    records.write_atomically(paths[0], svg_text(figure))
    with matplotlib.rc_context(PARAMETERS):
        figure.savefig(paths[1], dpi=130, metadata={"Software": None})
    records.write_atomically(paths[2], csv_text(result.rows))
    records.write_atomically(paths[3], text_of(result))
    return paths
