"""Weak scaling on paper: what each chip sends in an update as the slice grows.

    python -m experiments.weak_scaling --config=configs/household.py:steppo --out=DIR
    python -m experiments.weak_scaling --config=configs/paper_scale.py:qwen3_4b \\
        --config.parallel.fsdp=8 --out=DIR

Compiles the update (and the rollout of an environment on the device) for slices of 8 to
512 TPU v5p chips, through libtpu and without a TPU (pip install 'steppo_jax[aot]').
Every chip has the same number of trajectories on all of them: the config's are those of
the smallest slice, and `parallel.data` grows. Bytes are read from the compiled text
(`steppo_jax.hlo`). Writes DIR/weak_scaling.svg, .png, .csv, .txt.
"""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
from absl import flags
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from experiments import entry
from steppo_jax import ahead, settings
from steppo_jax.errors import Refused
from steppo_jax.figures import drawing, files
from steppo_jax.figures.result import Result

CONFIG = entry.define_config()
SLICES = ("2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")
TOPOLOGIES = flags.DEFINE_list(
    "topologies",
    [f"v5p:{shape}" for shape in SLICES],
    "TPU slices, the smallest first, each a multiple of it.",
)
OUT = flags.DEFINE_string("out", None, "DIR, for the picture and its numbers.")
MIB = 2**20


def grown(config: ml_collections.ConfigDict, chips: int, smallest: int):
    """The config for `chips` devices, as many trajectories on each as on `smallest`."""
    found = config.copy_and_resolve_references()
    for axis in ("fsdp", "tensor"):  # a config for pmap has none
        found.parallel[axis] = found.parallel[axis] or 1
    inside = found.parallel.fsdp * found.parallel.tensor
    if chips % smallest or chips % inside:
        raise Refused(
            f"--topologies: {chips} chips are no multiple of the smallest slice's "
            f"{smallest} and of parallel.fsdp * parallel.tensor = {inside}"
        )
    found.parallel.kind, found.parallel.data = "mesh", chips // inside
    found.rollout.groups *= chips // smallest
    if found.warm_start.success:  # every chip has some of its episodes
        found.warm_start.episodes *= chips
    settings.check(found)
    return found


def row(topology: str, config: ml_collections.ConfigDict, devices) -> dict[str, Any]:
    """MiB that arrive at each chip in one update, and in one rollout."""
    began = time.perf_counter()
    p = ahead.build(config, devices)
    account, _ = ahead.update(p)
    found = {
        "topology": topology,
        "chips": len(devices),
        "trajectories": p.learner.settings.trajectories * p.devices.numbered,
        **{kind: account.sent[kind] / MIB for kind in ahead.hlo.KINDS},
        "update": sum(account.sent.values()) / MIB,
        "gib": account.total / ahead.GIB,
    }
    if config.lm.weights is None:
        played, _ = ahead.rollout(p)
        held = ahead.parameters(p)["policy"][0] * 4 / MIB
        found |= {"rollout": sum(played.sent.values()) / MIB, "weights": held}
    return found | {"seconds": time.perf_counter() - began}


def draw(rows: Sequence[dict[str, Any]]) -> Figure:
    figure, ((axes,),) = drawing.canvas(1, 1, 5.2, 3.6)
    chips = [r["chips"] for r in rows]
    shown = [k for k in (*ahead.hlo.KINDS, "rollout") if any(r.get(k) for r in rows)]
    for name, (colour, mark) in drawing.colours(["update", *shown]).items():
        label = "update, all kinds" if name == "update" else name
        axes.plot(chips, [r[name] for r in rows], mark, ls="-", c=colour, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(chips, [str(n) for n in chips])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("chips, as many trajectories on each")
    axes.set_ylabel("MiB that arrive at a chip")
    drawing.legend_below(figure, 3)
    return drawing.finish(figure)


def result(config: ml_collections.ConfigDict, rows: Sequence[dict[str, Any]]) -> Result:
    first, last = rows[0], rows[-1]
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
        title=f"{config.preset}, fsdp {config.parallel.fsdp or 1}, tensor "
        f"{config.parallel.tensor or 1}, {first['trajectories'] / first['chips']:g} "
        "trajectories a chip",
        shows=shows,
        limits="Seconds: bytes are the compiler's plan, not a measurement, and how "
        "long they take depends on the links between chips and between hosts.",
        rows=rows,
        draw=lambda: draw(rows),
    )


def table(found: Result) -> Table:
    shown = Table(title=found.title, width=88)
    for name in found.rows[0]:
        if name != "seconds" and any(r[name] for r in found.rows):
            shown.add_column(name, justify="right")
    for r in found.rows:
        cells = (r[c.header] for c in shown.columns)
        shown.add_row(*(f"{x:.2f}" if isinstance(x, float) else str(x) for x in cells))
    return shown


def main() -> None:
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    jax.config.update("jax_platforms", "cpu")
    slices = {name: ahead.tpu(name) for name in TOPOLOGIES.value}
    smallest = len(next(iter(slices.values())))
    configs = {
        name: grown(CONFIG.value, len(devices), smallest)
        for name, devices in slices.items()
    }
    rows = []
    for name, devices in slices.items():
        rows.append(row(name, configs[name], devices))
        print(f"{name}: compiled in {rows[-1]['seconds']:,.0f} s", flush=True)
    found = result(CONFIG.value, rows)
    Console(width=88).print(table(found))
    print(found.shows)
    for path in files.write(found, pathlib.Path(OUT.value), found.draw()):
        print(path)


if __name__ == "__main__":
    entry.launch(main, "config", "out")
