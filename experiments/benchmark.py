"""Measures how long the parts take, each beside a bound from the same run.

    python -m experiments.benchmark --what=credit
    python -m experiments.benchmark --what=credit --repeats=21

`credit`: every estimator at 1,424 rows × 1,024 tokens, as a multiple of one pass
that reads the same arrays and writes as many, and its share of an iteration of the
default run at that run's own size. Prints a table for people, and one
JSON line with versions, devices and commit.
"""

from __future__ import annotations

import sys

from absl import flags
from rich.console import Console
from rich.table import Table

from configs import household
from experiments import entry
from steppo_jax import provenance, records
from steppo_jax.benchmarks import credit, share

WHAT = flags.DEFINE_enum("what", None, ["credit"], "credit, the part to measure.")
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


def main() -> None:
    origin = provenance.machine()  # before the code can change under the run
    rows = credit.run(REPEATS.value)
    Console().print(show(rows))
    default = household.get_config("steppo")
    default.devices = 1
    shares = share.run(default, REPEATS.value)
    Console().print(show_shares(shares))
    command = " ".join(["python -m experiments.benchmark", *sys.argv[1:]])
    record = {
        "command": command,
        "what": WHAT.value,
        **origin,
        "rows": rows,
        "shares": shares,
    }
    print(records.dumps(record))


if __name__ == "__main__":
    entry.launch(main, "what")
