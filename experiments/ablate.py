"""Runs an ablation: cells × seeds, then one table. Started again, it goes on.

    python -m experiments.ablate --config=configs/ablations/credit_ratio.py \\
        --workdir=DIR
    python -m experiments.ablate --config=configs/ablations/credit_ratio.py:smoke \\
        --workdir=DIR
    python -m experiments.ablate --config=configs/ablations/main_table.py \\
        --workdir=DIR --cells=household-steppo,household-ppo --seeds=0,1,2 --jobs=2

Each run is DIR/CELL/seed-N, a folder as experiments.train leaves it, and record.json.
What is finished is skipped. docs/ablations.md says how to write one, and about lanes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
import shlex
import sys
from collections.abc import Sequence

import jax
from absl import flags
from rich.console import Console

from experiments import devices, entry, quickly
from steppo_jax import metrics, provenance, records, run_record
from steppo_jax.ablation import grid, plan, record, table, work, workers
from steppo_jax.ablation.grid import Ablation, Run
from steppo_jax.ablation.overall import Overall
from steppo_jax.errors import Refused

CONFIG = flags.DEFINE_string("config", None, "FILE.py[:smoke] of configs/ablations.")
WORKDIR = flags.DEFINE_string("workdir", None, "DIR, the folder of all its runs.")
CELLS = flags.DEFINE_list("cells", [], "Only these cells; default: all.")
SEEDS = flags.DEFINE_list("seeds", [], "These seeds; default: the file's.")
JOBS = flags.DEFINE_integer(
    "jobs", 0, "Processes; 0: one per core on CPU, else one.", lower_bound=0
)
LANES = flags.DEFINE_integer(
    "lanes",
    0,
    "Seeds of a cell in one compiled program; 0: one on CPU, else all.",
    lower_bound=0,
)
PANEL = flags.DEFINE_string("panel", None, "Panel of the table; default: the last.")


def load(argument: str) -> Ablation:
    """What the get_config of FILE.py[:ARG] returns. Raises Refused if no ablation."""
    path, _, arg = argument.partition(":")
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise Refused(f"--config={argument}: {path!r} is no Python file; give FILE.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.get_config(arg)
    if not isinstance(found, Ablation):
        raise Refused(
            f"--config={argument}: its get_config gives no ablation; "
            "see configs/ablations, or use experiments.train"
        )
    return found


def chosen() -> Ablation:
    """The ablation of the flags."""
    for text in SEEDS.value:
        if not text.isdigit():
            raise Refused(f"--seeds={text}: a seed is a whole number; write 0,1,2")
    found = load(CONFIG.value).only(CELLS.value, [int(text) for text in SEEDS.value])
    for cell in found.cells:
        if PANEL.value and PANEL.value not in cell.config.eval.panels:
            raise Refused(
                f"--panel={PANEL.value}: cell {cell.name} plays "
                f"{', '.join(cell.config.eval.panels)}; give one of these"
            )
    return found


def how(runs: int) -> tuple[int, int]:
    """(jobs, lanes) of the flags, for so many runs; what is 0 follows the platform.

    On CPU lanes do not pay and processes do (docs/ablations.md); elsewhere one process
    holds the device.
    """
    platforms = jax.config.jax_platforms
    if not platforms or platforms.split(",")[0] == "cpu":
        jax.config.update("jax_num_cpu_devices", 1)
    on_cpu = jax.default_backend() == "cpu"
    jobs = JOBS.value or (devices.cores() if on_cpu else 1)
    if jobs > 1 and not on_cpu:
        raise Refused(
            f"--jobs={jobs}: processes would share one {jax.default_backend()}; "
            "leave it out, and set --lanes"
        )
    return max(min(jobs, runs), 1), LANES.value or (1 if on_cpu else max(runs, 1))


def make(ablation: Ablation, folder: pathlib.Path, jobs: int, lanes: int) -> None:
    """Makes every run that is not finished. Raises Refused where one failed."""
    runs = ablation.runs()
    left = [run for run in runs if not grid.finished(run, folder)]
    total = sum(run.config.iterations for run in runs)
    done = sum(_iterations(run, folder) for run in runs)
    overall = Overall(ablation.name, total, done)
    overall.say(
        f"{ablation.name}: {len(runs)} runs ({len(ablation.cells)} cells × "
        f"{len(ablation.seeds)} seeds), {len(runs) - len(left)} finished before; "
        f"jobs {jobs}, lanes {lanes}"
    )
    batches = plan.batches(left, lanes)
    if jobs > 1:
        failed = workers.run(batches, jobs, ablation.name, folder, overall)
    else:
        failed = _here(batches, ablation.name, folder, overall)
    overall.close()
    if failed:
        name, why = next(iter(failed.items()))
        raise Refused(f"{len(failed)} of {len(runs)} runs failed; {name}: {why}")


def _iterations(run: Run, folder: pathlib.Path) -> int:
    return len(records.read(folder / run.name / metrics.FILE))


def _here(
    batches: Sequence[plan.Batch], name: str, folder: pathlib.Path, overall: Overall
) -> workers.Failures:
    """All batches in this process; a failure does not stop the others."""
    failed: workers.Failures = {}
    worker = work.Worker(name, folder, overall.hear)
    for batch in batches:
        try:
            worker(batch)
        except Refused as error:
            failed |= {run.name: str(error) for run in batch.runs}
    return failed


def show(ablation: Ablation, folder: pathlib.Path, panel: str | None) -> None:
    """Prints the table of what is finished, and writes it beside the runs."""
    ended = [run for run in ablation.runs() if grid.finished(run, folder)]
    rows = table.rows([record.read(run, folder) for run in ended], panel)
    records.write_atomically(folder / "table.csv", table.as_csv(rows))
    console = Console()
    if not console.is_terminal:  # a file is as wide as it needs to be
        console = Console(width=120)
    for each in table.tables(ablation.name, rows):
        console.print(each)
    print(f"Everything is in {folder}: table.csv, {grid.FILE}, CELL/seed-N")


def main() -> None:
    ablation = chosen()
    grid.check(ablation)
    folder = pathlib.Path(WORKDIR.value)
    grid.check_folder(ablation, folder)
    left = [run for run in ablation.runs() if not grid.finished(run, folder)]
    if ablation.smoke:
        quickly.settle()
    jobs, lanes = how(len(left))
    command = shlex.join(["python", "-m", "experiments.ablate", *sys.argv[1:]])
    origin = {"command": command, "commit": provenance.git_commit()}
    with contextlib.closing(run_record.lock(folder)):
        text = grid.describe(ablation, origin)
        records.write_atomically(folder / grid.FILE, text)
        try:
            make(ablation, folder, jobs, lanes)
        finally:
            show(ablation, folder, PANEL.value)


if __name__ == "__main__":
    entry.launch(main, "config", "workdir")
