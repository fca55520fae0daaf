"""Holds every estimator of credit against the true advantage of a trained policy.

    python -m experiments.credit_fidelity --workdir=RUN --out=DIR
    python -m experiments.credit_fidelity --workdir=RUN --out=DIR --batches=16 \\
        --branches=48 --checkpoint=40

RUN is a folder of `experiments.train`. Its policy is frozen, a step and a token critic
are fitted to it with the same episodes, and the advantage of every step it takes is
measured by playing on from the stored states, twice. Writes
DIR/credit_fidelity.{csv,json,png,svg}; what the
columns mean stands in `steppo_jax/fidelity/statistics.py`.
"""

from __future__ import annotations

import csv
import io
import pathlib
import sys
from typing import Any

import jax
import matplotlib
import numpy as np
from absl import flags
from rich import box
from rich.console import Console
from rich.table import Table

from experiments import devices, entry
from experiments.restored import restore
from steppo_jax import programs, provenance, records, run_record
from steppo_jax.fidelity import critics, picture, statistics
from steppo_jax.fidelity.measure import Laboratory
from steppo_jax.fidelity.statistics import Fidelity
from steppo_jax.fidelity.trials import Trial, trials
from steppo_jax.progress import Progress

NAME = "credit_fidelity"
GROUPS, GROUP_SIZE = 8, 8  # tasks of a batch, episodes of each
MONTE_CARLO = 8  # branches of the estimator of that name, as its preset has
AGAINST = Trial("step_gae", 0.95)  # what the others are compared with
SCORES = ("correlation", "raw", "sign", "error", "difference")

WORKDIR = entry.define_workdir()
OUT = flags.DEFINE_string("out", None, "DIR, the folder for what is found.")
CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "latest, or an iteration.")
BATCHES = flags.DEFINE_integer("batches", 8, "Batches of 64 episodes.", lower_bound=1)
BRANCHES = flags.DEFINE_integer(
    "branches", 24, "Branches from every state, in each half.", lower_bound=1
)
ITERATIONS = flags.DEFINE_integer(
    "critic_iterations", 60, "Batches each critic is fitted with.", lower_bound=1
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the episodes.", lower_bound=0)

Row = dict[str, Any]


def measure(config, policy) -> tuple[dict[Trial, Fidelity], Row]:
    """(how close each trial comes, what it was measured on)."""
    fit_key, play_key = jax.random.split(jax.random.key(SEED.value))
    made = {kind: critics.programs_for(config, kind) for kind in critics.PRESETS}
    bar = Progress(NAME, len(made) * ITERATIONS.value)
    fitted, explained = {}, {}
    for place, (kind, p) in enumerate(made.items()):

        def tell(done: int, ev: float, place=place) -> None:
            if done % 10 == 0 or done == ITERATIONS.value:
                total = place * ITERATIONS.value + done
                bar.line(total, {"critic/explained_variance": ev})

        fitted[kind], explained[kind] = critics.fit(
            p, policy, fit_key, ITERATIONS.value, tell
        )
    bar.close()
    lab = Laboratory(made, GROUPS, GROUP_SIZE, BRANCHES.value, MONTE_CARLO)
    put = lab.base.devices.replicate
    policy, fitted = put(policy), {kind: put(x) for kind, x in fitted.items()}
    wanted, bar = trials(), Progress(NAME, BATCHES.value)
    found, truth, task = {trial: [] for trial in wanted}, [], []
    for batch in range(BATCHES.value):
        episodes = lab.play(policy, put(jax.random.fold_in(play_key, batch)))
        estimates = lab.estimates(policy, fitted, episodes, wanted)
        for trial in wanted:
            found[trial].append(estimates[trial])
        true_B2, task_B = lab.truth(episodes)
        truth.append(true_B2)
        task.append(task_B + batch * GROUPS)
        bar.line(batch + 1, {})
    bar.close()
    truth, task = np.concatenate(truth), np.concatenate(task)
    joined = {trial: np.concatenate(x) for trial, x in found.items()}
    about = {
        "steps": len(task),
        "episodes": BATCHES.value * GROUPS * GROUP_SIZE,
        "tasks": BATCHES.value * GROUPS,
        "critic_explained_variance": explained,
        "true_std": float(np.sqrt(max(np.cov(truth.T)[0, 1], 0))),
        "correlation_of_halves": float(np.corrcoef(truth.T)[0, 1]),
    }
    return statistics.of_all(joined, truth, task, AGAINST), about


def rows(found: dict[Trial, Fidelity]) -> list[Row]:
    """One flat row for each trial."""
    return [
        {"estimator": trial.estimator, "lam": trial.lam}
        | {
            f"{score}{end}": getattr(getattr(f, score), part)
            for score in SCORES
            for end, part in (("", "value"), ("_se", "se"))
        }
        for trial, f in found.items()
    ]


def write(folder: pathlib.Path, found, about: Row, origin: Row) -> None:
    """The four files."""
    folder.mkdir(parents=True, exist_ok=True)
    table = rows(found)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    records.write_atomically(folder / f"{NAME}.csv", stream.getvalue())
    record = {
        "command": f"python -m experiments.{NAME} " + " ".join(sys.argv[1:]),
        "seed": SEED.value,
        "branches": 2 * BRANCHES.value,
        **about,
        **origin,
        "rows": table,
    }
    records.write_atomically(folder / f"{NAME}.json", records.dumps(record, 1) + "\n")
    heading = (
        f"{about['steps']} steps of {about['episodes']} episodes, {about['tasks']} "
        f"tasks, seed {SEED.value}; bars: standard errors over tasks"
    )
    figure = picture.draw(found, heading)
    with matplotlib.rc_context({"svg.hashsalt": NAME}):
        figure.savefig(folder / f"{NAME}.png", dpi=130)
        figure.savefig(folder / f"{NAME}.svg", metadata={"Date": None})


def shown(found: dict[Trial, Fidelity]) -> Table:
    title = "Estimators against the true step advantage (± standard error)"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for head in ("estimator", "λ", "correlation", "− step .95", "sign", "error"):
        table.add_column(head, justify="left" if head == "estimator" else "right")
    for trial, f in found.items():
        cells = (f.correlation, f.difference, f.sign, f.error)
        lam = "" if trial.lam is None else f"{trial.lam:g}"
        numbers = [f"{s.value:.2f} ±{s.se:.2f}" for s in cells]
        table.add_row(trial.estimator, lam, *numbers)
    return table


def main() -> None:
    workdir = pathlib.Path(WORKDIR.value)
    config, record = run_record.load(workdir)
    if config.lm.weights is not None:
        entry.stop(
            f"--workdir={workdir}: lm.weights={config.lm.weights} plays in text, which "
            "cannot branch; give a run without a language model"
        )
    config.devices = 0
    devices.settle(config)
    p = programs.build(config)
    run_record.check_environment(record, p.env.version)
    iteration, state = restore(p, workdir, CHECKPOINT.value)
    origin = provenance.machine() | {
        "run": record["config"]["preset"],
        "run_seed": record["config"]["seed"],
        "checkpoint": iteration,
    }
    found, about = measure(config, state.policy)
    folder = pathlib.Path(OUT.value)
    write(folder, found, about, origin)
    Console().print(shown(found))
    explained = about["critic_explained_variance"]
    print(
        f"explained variance of the critics: step {explained['step']:.2f}, token "
        f"{explained['token']:.2f}; the two halves of the truth correlate "
        f"{about['correlation_of_halves']:.2f}"
    )
    print(f"Everything is in {folder}: {NAME}.csv, .json, .png, .svg")


if __name__ == "__main__":
    entry.launch(main, "workdir", "out")
