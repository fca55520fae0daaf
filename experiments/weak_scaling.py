"""Weak scaling on paper: what each chip sends in an update as the slice grows.

    python -m experiments.weak_scaling --config=configs/household.py:steppo --out=DIR
    python -m experiments.weak_scaling --config=configs/paper_scale.py:qwen3_4b \\
        --config.parallel.fsdp=8 --out=DIR

Compiles the update (and the rollout of an environment on the device) for slices of 8 to
512 TPU v5p chips, through libtpu and without a TPU (pip install 'steppo_jax[aot]').
Every chip has the same number of trajectories on all of them: the config's are those of
the smallest slice, and `parallel.data` grows. Bytes are read from the compiled text
(`steppo_jax.hlo`). Writes DIR/weak_scaling.svg, .png, .csv, .txt after every slice.
Exit code 1 where a program does not fit, 2 where the question is wrong.
"""

from __future__ import annotations

import pathlib
import sys
import time

import ml_collections
from absl import flags
from rich.console import Console
from rich.table import Table

from experiments import devices, entry
from steppo_jax import ahead, settings
from steppo_jax.errors import Refused
from steppo_jax.figures import files
from steppo_jax.figures import weak_scaling as figure
from steppo_jax.figures.result import Result, Row

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
    """The config, which is for the smallest slice, for `chips`: as much on each."""
    found = config.copy_and_resolve_references()
    p = found.parallel
    inside, times = (p.fsdp or 1) * (p.tensor or 1), chips // smallest
    whole = (p.data or smallest // inside) * inside == smallest
    if not whole or chips % smallest:
        raise Refused(
            f"--topologies: parallel.data={p.data}, fsdp={p.fsdp}, tensor={p.tensor} "
            f"with the first of {smallest} chips and another of {chips}; make their "
            "product that of the first, of which all are multiples"
        )
    p.kind, p.data = "mesh", chips // inside
    p.fsdp, p.tensor = p.fsdp or 1, p.tensor or 1  # a config for pmap has none
    found.rollout.groups *= times
    if found.warm_start.success:  # else they have no effect, and may not be set
        found.warm_start.episodes *= times
    settings.check(found)
    return found


def row(topology: str, config: ml_collections.ConfigDict, chips) -> Row:
    """MiB that arrive at each chip in one update, and in one rollout."""
    began = time.perf_counter()
    p = ahead.build(config, chips)
    account, _ = ahead.update(p)
    found = {
        "topology": topology,
        "chips": len(chips),
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


def table(found: Result) -> Table:
    """A column for each slice, a line for what any of them has: MiB, and GiB held."""
    shown = Table(title=found.title, width=88)
    for name in ("", *(r["topology"] for r in found.rows)):
        shown.add_column(name, justify="right" if name else "left")
    for name in found.rows[0]:
        values = [r[name] for r in found.rows]
        if name not in ("topology", "seconds") and any(values):
            shown.add_row(name, *(f"{x:,.4g}" for x in values))
    return shown


def main() -> None:
    if not TOPOLOGIES.value:
        raise Refused("--topologies= names no slice; give some, such as v5p:2x2x2")
    config, out = CONFIG.value, pathlib.Path(OUT.value)
    slices = {name: devices.of_topology(name, config) for name in TOPOLOGIES.value}
    smallest = len(next(iter(slices.values())))
    configs = {n: grown(config, len(found), smallest) for n, found in slices.items()}
    p = next(iter(configs.values())).parallel
    title = f"{config.preset}, fsdp {p.fsdp}, tensor {p.tensor}"
    rows: list[Row] = []
    for name, chips in slices.items():
        try:
            rows.append(row(name, configs[name], chips))
        except ahead.DoesNotFit as error:
            print(f"{name} does not fit: {error}", file=sys.stderr)
            sys.exit(1)
        print(f"{name}: compiled in {rows[-1]['seconds']:,.0f} s", flush=True)
        found = figure.result(title, rows)
        paths = files.write(found, out, found.draw())  # a later slice may take hours
    Console(width=88).print(table(found))
    print(found.shows, *paths, sep="\n")


if __name__ == "__main__":
    entry.launch(main, "config", "out")
