"""Measures how long the parts take, each beside a bound from the same run.

    python -m experiments.benchmark --what=credit
    python -m experiments.benchmark --what=credit --repeats=21
    python -m experiments.benchmark --what=env

`credit`: every estimator at 1,424 rows × 1,024 tokens, as a multiple of one pass
that reads the same arrays and writes as many, and its share of an iteration of the
default run at that run's own size. `env`: steps per second of every environment
alone, under random responses, and its share of a rollout of its default policy.
Prints a table for people, and one JSON line with versions, devices and commit.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from configs import household
from experiments import devices, entry
from steppo_jax import envs, provenance, records
from steppo_jax.benchmarks import credit, environment, share

WHAT = flags.DEFINE_enum(
    "what", None, ["credit", "env"], "credit or env, the part to measure."
)
REPEATS = flags.DEFINE_integer(
    "repeats", 11, "Timings of each call; the median counts.", lower_bound=3
)


def show(rows: list[dict]) -> Table:
    """The table for people; times in milliseconds."""
    table = Table(title="Credit (median of the repeats; spread: between quartiles)")
    for name in ("call", "ms", "spread", "CPU ms", "× pass", "limit"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        times = (row[x] * 1e3 for x in ("seconds", "spread", "cpu_seconds"))
        limit = "" if row["limit"] is None else f"{row['limit']:.0f}"
        if row["limit"] is not None and row["ratio"] > row["limit"]:
            limit += " missed"
        cells = [f"{x:.2f}" for x in (*times, row["ratio"])]
        table.add_row(row["call"], *cells, limit)
    return table


def show_shares(rows: list[dict]) -> Table:
    """Shares of an iteration of the default run; times in milliseconds."""
    table = Table(title="Credit in the default run (its own size, one device)")
    for name in ("call", "ms", "spread", "CPU ms", "share", "limit"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        times = (row[x] * 1e3 for x in ("seconds", "spread", "cpu_seconds"))
        limit = "" if row["limit"] is None else f"{row['limit']:.0%}"
        if row["limit"] is not None and row["share"] > row["limit"]:
            limit += " missed"
        cells = [f"{x:.2f}" for x in times]
        table.add_row(row["call"], *cells, f"{row['share']:.2%}", limit)
    return table


def show_environments(rows: list[dict]) -> Table:
    """Steps per second, and shares of a rollout."""
    table = Table(title="Environments (random responses; medians)")
    for name in ("name", "devices", "steps/s", "spread", "share of a rollout"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        slow = " missed" if row["steps_per_second"] < row["least"] else ""
        large = " missed" if row["share"] > row["most"] else ""
        table.add_row(
            row["environment"],
            str(row["devices"]),
            f"{row['steps_per_second']:,.0f}{slow}",
            f"{row['spread']:.0%}",
            f"{row['share']:.1%}{large}",
        )
    return table


def of_credit(repeats: int) -> dict[str, Any]:
    rows = credit.run(repeats)
    Console().print(show(rows))
    default = household.get_config("steppo")
    default.devices = 1
    shares = share.run(default, repeats)
    Console().print(show_shares(shares))
    return {"rows": rows, "shares": shares}


def of_environments(repeats: int) -> dict[str, Any]:
    files = [importlib.import_module(f"configs.{name}") for name in envs.names()]
    configs = [file.get_config("steppo") for file in files]
    for config in configs:
        devices.settle(config)
    rows = [environment.measure(config, repeats) for config in configs]
    Console().print(show_environments(rows))
    return {"rows": rows}


MEASURES = {"credit": of_credit, "env": of_environments}


def main() -> None:
    commit = provenance.git_commit()  # before the code can change under the run
    measured = MEASURES[WHAT.value](REPEATS.value)
    command = " ".join(["python -m experiments.benchmark", *sys.argv[1:]])
    origin = {**provenance.machine(), "commit": commit}
    record = {"command": command, "what": WHAT.value, **origin, **measured}
    print(records.dumps(record))


if __name__ == "__main__":
    entry.launch(main, "what")
