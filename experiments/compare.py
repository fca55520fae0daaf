"""Compares finished runs: methods × seeds, with intervals and paired differences.

    python -m experiments.ablate --config=configs/ablations/credit_ratio.py \\
        --workdir=runs/credit_ratio
    python -m experiments.compare --runs=runs/credit_ratio --out=DIR

Reads run folders only, those of an ablation or any that lie side by side. Writes
table.csv, comparison.json, curves.png and .svg.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import shlex
import sys
from collections.abc import Iterable

from absl import flags
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from experiments import entry
from steppo_jax import comparison, records
from steppo_jax.intervals import Interval, mean_t
from steppo_jax.report import PANEL_COLOURS, smooth

RUNS = flags.DEFINE_string("runs", None, "Folder that holds the run folders.")
OUT = flags.DEFINE_string("out", None, "Folder for table, records and figure.")
PANEL = flags.DEFINE_string("panel", "unseen", "Panel to compare on.")
DECODINGS = ("sampled", "greedy")


def rows(found: dict[str, list[comparison.Run]]) -> list[dict]:
    """One row per method: success before and after, per decoding, and the cost."""
    out = []
    for method, runs in found.items():
        row = {"method": method, "seeds": len(runs), "iterations": runs[0].iterations}
        row["before"] = comparison.over_seeds(runs, "sampled", "before")
        for decoding in DECODINGS:
            if all(decoding in run.after for run in runs):
                row[decoding] = comparison.over_seeds(runs, decoding)
        row["seconds"] = mean_t([run.seconds for run in runs])
        out.append(row)
    return out


def without_environment(name: str, found: Iterable[str]) -> str:
    """The method alone where all runs share the environment."""
    environment, _, method = name.partition(":")
    shared = all(other.startswith(environment + ":") for other in found)
    return method if shared else name


def plus_minus(interval: Interval, form: str = ".3f") -> str:
    """`0.725 ±0.120`, for intervals that are symmetric."""
    return f"{interval.value:{form}} ±{interval.high - interval.value:{form}}"


def show(found: dict[str, list[comparison.Run]], differences: list) -> None:
    """The two tables, on the terminal."""
    title = f"Success on the {PANEL.value} panel (mean ± half of 95 % t over seeds)"
    table = Table(title=title)
    for name in ("method", "seeds", "before", *DECODINGS, "seconds"):
        table.add_column(name, no_wrap=True)
    for row in rows(found):
        cells = [
            plus_minus(row[x]) if x in row else "–" for x in ("before", *DECODINGS)
        ]
        seconds = plus_minus(row["seconds"], ".0f")
        table.add_row(row["method"], str(row["seeds"]), *cells, seconds)
    paired = Table(title="Paired differences (sampled; same seeds and warm starts)")
    for name in ("difference", "seeds", "mean and 95 % t interval"):
        paired.add_column(name, no_wrap=True)
    for d in differences:
        paired.add_row(f"{d.other} − {d.base}", str(d.seeds), d.interval.text("+.3f"))
    console = Console()
    console.print(table)
    console.print(paired)


def draw(found: dict[str, list[comparison.Run]]) -> Figure:
    """Training success: each seed smoothed and thin, the mean of seeds thick."""
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    axes = figure.subplots()
    for colour, (method, runs) in zip(PANEL_COLOURS, found.items(), strict=False):
        curves = [smooth(run.curve) for run in runs]
        done = range(1, runs[0].iterations + 1)
        for curve in curves:
            axes.plot(done, curve, color=colour, lw=0.8, alpha=0.35)
        mean = sum(curves) / len(curves)
        axes.plot(
            done, mean, color=colour, lw=2.4, label=f"{method} ({len(runs)} seeds)"
        )
    axes.set(ylim=(0, 1), xlabel="iterations of training")
    axes.set(ylabel="success of training episodes (mean over 9)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
    axes.legend(frameon=False, loc="upper left")
    return figure


def main() -> None:
    found = comparison.load_all(pathlib.Path(RUNS.value), PANEL.value)
    out = pathlib.Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    found = {without_environment(name, found): runs for name, runs in found.items()}
    names = list(found)
    differences = [
        comparison.paired(found[a], found[b], "sampled")
        for i, b in enumerate(names)
        for a in names[:i]
    ]
    show(found, differences)
    figure = draw(found)
    figure.savefig(out / "curves.png", dpi=130)
    figure.savefig(out / "curves.svg", metadata={"Date": None})
    record = {
        "command": shlex.join(["python", "-m", "experiments.compare", *sys.argv[1:]]),
        "panel": PANEL.value,
        "commits": sorted({str(r.commit) for runs in found.values() for r in runs}),
        "runs": [dataclasses.asdict(r) for runs in found.values() for r in runs],
        "differences": [dataclasses.asdict(d) for d in differences],
    }
    text = records.dumps(record, indent=1)
    records.write_atomically(out / "comparison.json", text + "\n")
    with (out / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "seed", "before", *DECODINGS, "seconds", "commit"])
        for method, runs in found.items():
            for r in runs:
                after = [r.after.get(d) for d in DECODINGS]
                before = r.before.get("sampled")
                writer.writerow([method, r.seed, before, *after, r.seconds, r.commit])
    print(f"Written to {out}: table.csv, comparison.json, curves.png, curves.svg")


if __name__ == "__main__":
    entry.launch(main, "runs", "out")
