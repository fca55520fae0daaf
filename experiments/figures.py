"""Redraws the paper's figures, and those it lacks, from finished runs.

    python -m experiments.figures --runs=DIR --out=OUT
    python -m experiments.figures --runs=results --out=OUT --figure=credit_ratio
    python -m experiments.figures --runs=DIR --collect=results/runs

DIR is searched at any depth for run folders of experiments.train and experiments.ablate
and for run records. Each figure is OUT/NAME.svg, .png, .csv and .txt (what it shows and
what it does not, with every comparison); OUT/report.html has all of it on one page. A
figure whose runs are not there is skipped, with the command that makes them. --collect
writes small run records, from which everything here can be redrawn without training.
"""

from __future__ import annotations

import pathlib

from absl import flags

from experiments import entry, retrace
from steppo_jax.errors import Refused
from steppo_jax.figures import files, page, registry
from steppo_jax.figures.result import Missing, Result
from steppo_jax.pages import rendering
from steppo_jax.study import finding
from steppo_jax.study.run import Run

RUNS = flags.DEFINE_string("runs", None, "DIR that holds runs or run records.")
OUT = flags.DEFINE_string("out", None, "DIR for the figures and report.html.")
COLLECT = flags.DEFINE_string("collect", None, "DIR for run records.")
FIGURE = flags.DEFINE_list("figure", [], "NAME[,NAME …], all if left out.")
EPISODES_OF = flags.DEFINE_integer(
    "episodes_of_seed", 0, "Seed whose records keep the episodes of one task."
)


def draw(runs: list[Run], out: pathlib.Path, names: list[str]) -> None:
    """Every figure that the runs allow, and the page."""
    results: list[tuple[Result, str]] = []
    missing: list[Missing] = []
    for name in names:
        found = registry.FIGURES[name](runs)
        if isinstance(found, Missing):
            missing.append(found)
            print(found.text(), flush=True)
            continue
        figure = found.draw()
        files.write(found, out, figure)
        results.append((found, rendering.svg_text(figure)))
        print(f"{name}: {found.shows}", flush=True)
        for line in found.comparisons:
            print(f"  {line}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    page.write(out / page.NAME, runs, results, missing)
    print(f"{len(results)} figures and report.html are in {out}")


def main() -> None:
    if not (OUT.present or COLLECT.present):
        raise Refused("--out is missing; give --out=DIR, or --collect=DIR")
    names = registry.chosen(FIGURE.value)
    runs = finding.load(pathlib.Path(RUNS.value), print)
    runs = [retrace.with_command(run) for run in runs]
    if COLLECT.present:
        out = pathlib.Path(COLLECT.value)
        paths = finding.write(runs, out, EPISODES_OF.value)
        size = sum(path.stat().st_size for path in paths) / 1024
        print(f"{len(paths)} run records, {size:.0f} KiB, are in {out}")
    if OUT.present:
        draw(runs, pathlib.Path(OUT.value), names)


if __name__ == "__main__":
    entry.launch(main, "runs")
