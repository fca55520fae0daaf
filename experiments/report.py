"""Writes a run's report.html anew, and its learning curve.

    python -m experiments.report --workdir=DIR

Every run writes both when it ends; this is for runs that still go on or are older.
"""

from __future__ import annotations

import pathlib

from experiments import entry
from steppo_jax import report
from steppo_jax.pages import run_page

WORKDIR = entry.define_workdir()


def main() -> None:
    workdir = pathlib.Path(WORKDIR.value)
    for path in (*report.write(workdir), run_page.write(workdir)):
        print(path)


if __name__ == "__main__":
    entry.launch(main, "workdir")
