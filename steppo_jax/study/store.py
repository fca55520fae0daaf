"""A `Run` as a file of a few JSON lines, and back without loss.

Line 1 says what and from where; then the metrics, one line per column; then one line
per evaluation; then the stored episodes. Settings stand there in full, so that a
default which changes later does not change old results. There is no path in it, and
no time of day.
"""

from __future__ import annotations

import hashlib
import pathlib
import re
from typing import Any

import numpy as np

from steppo_jax import records
from steppo_jax.errors import Refused
from steppo_jax.settings import FIELDS, history
from steppo_jax.study.run import FORMAT, SEED_FIELDS, Evaluation, Run

SUFFIX = ".jsonl"
PATH = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+[\w.+-]*")


def _packed(column: np.ndarray) -> Any:
    """Digits as one string, whole numbers as ints, the rest as they are."""
    if column.size and np.all((column == np.floor(column)) & (abs(column) < 2**53)):
        whole = column.astype(int)
        if whole.min() >= 0 and whole.max() <= 9 and whole.size > 1:
            return "".join(map(str, whole))
        return whole.tolist()
    return column.tolist()


def _unpacked(stored: Any) -> np.ndarray:
    return np.array(
        [int(c) for c in stored] if isinstance(stored, str) else stored, float
    )


def without_paths(text: str) -> str:
    """A command with its absolute paths cut down to their last part."""
    return PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2], text)


def dumps(run: Run, *, with_episodes: bool = True) -> str:
    """The text of the file."""
    origin = dict(run.origin)
    if "command" in origin:
        origin["command"] = without_paths(origin["command"])
    lines: list[records.Record] = [
        {
            "format": FORMAT,
            "cell": run.cell,
            "seed": run.seed,
            "settings": dict(sorted(run.settings.items())),
            "origin": origin,
            "every": run.every,
            "totals": run.totals,
        }
    ]
    lines += [{"metric": k, "means": x.tolist()} for k, x in run.metrics.items()]
    for e in run.evaluations:
        columns = {name: _packed(x) for name, x in e.columns.items()}
        lines.append(
            {
                "panel": e.panel,
                "iteration": e.iteration,
                "decoding": e.decoding,
                "seed": e.seed,
                "tasks": columns,
            }
        )
    if with_episodes:
        lines += [{"episode": dict(episode)} for episode in run.episodes]
    return "".join(records.dumps(line) + "\n" for line in lines)


def read(path: pathlib.Path) -> Run:
    """The run in a file. Raises Refused for anything else."""
    lines = records.read(path)
    if not lines or lines[0].get("format") != FORMAT:
        raise Refused(
            f"{path} is no run record of format {FORMAT}; make it again with "
            "python -m experiments.figures --runs=RUNS --collect=DIR"
        )
    head = lines[0]
    metrics = {x["metric"]: np.array(x["means"], float) for x in lines if "metric" in x}
    played = [
        Evaluation(
            x["panel"],
            x["iteration"],
            x["decoding"],
            x["seed"],
            {name: _unpacked(stored) for name, stored in x["tasks"].items()},
        )
        for x in lines
        if "panel" in x
    ]
    return Run(
        cell=head["cell"],
        settings=_settings(path, head["settings"]),
        origin=head["origin"],
        every=head["every"],
        metrics=metrics,
        totals=head["totals"],
        evaluations=tuple(played),
        episodes=tuple(x["episode"] for x in lines if "episode" in x),
    )


def _settings(path: pathlib.Path, stored: records.Record) -> records.Record:
    """The stored settings in the order of the tree, younger fields as they were."""
    given = history.completed(stored)
    if set(given) != set(FIELDS):
        odd = ", ".join(sorted(set(given) ^ set(FIELDS)))
        raise Refused(
            f"{path} was written by other code: settings {odd}; read it with the "
            "commit that wrote it"
        )
    return {name: given[name] for name in FIELDS}


def name_of(run: Run, others: list[Run]) -> str:
    """ENV/CELL-SEED.jsonl; with a mark of the settings where that is not unique."""
    clash = any(
        (o.environment, o.cell, o.seed) == (run.environment, run.cell, run.seed)
        and o is not run
        for o in others
    )
    cell = re.sub(r"[^\w.+-]+", "_", run.cell)
    if clash:
        text = records.dumps(
            {k: v for k, v in sorted(run.settings.items()) if k not in SEED_FIELDS}
        )
        cell += "-" + hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{run.environment}/{cell}-{run.seed}{SUFFIX}"
