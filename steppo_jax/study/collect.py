"""From a run folder to a `Run`: thinned, rounded, without paths."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from steppo_jax import (
    metrics,
    panel_records,
    records,
    run_record,
    settings,
    trajectories,
)
from steppo_jax.errors import Refused
from steppo_jax.study.run import Evaluation, Run

POINTS = 60  # entries of a metric at most: a curve needs no more
DIGITS = 5  # significant ones of a metric
SECONDS = ("time/rollout_seconds", "time/update_seconds")
KEPT = (  # metrics of a record; the run folder has them all
    metrics.SUCCESS,
    metrics.RETURN,
    metrics.STEPS,
    metrics.TOKENS,
    metrics.ENTROPY,
    metrics.KL,
    metrics.CLIP,
    metrics.EXPLAINED_VARIANCE,
    "critic/loss",
    "data/steps",
    "data/tokens",
    *SECONDS,
)
# Columns of a panel that are kept task by task; of others the mean.
BY_TASK = ("success", "steps", "golden_steps", "score", "recall")
SEED_FOLDER = re.compile(r"seed-(\d+)")
EVALUATIONS = (panel_records.FOLDER, "evaluations")  # the run's, and later ones
WARM = 2  # iterations before everything is compiled


def rounded(value: float) -> float:
    """To DIGITS significant digits; NaN and infinity stay."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value


def thinned(lines: Sequence[records.Record], every: int) -> dict[str, np.ndarray]:
    """Name → means over `every` lines; NaN where no line has a number."""
    names = sorted({n for line in lines for n in line} & set(KEPT))
    found = {}
    for name in names:
        column = [line.get(name) for line in lines]
        column = np.array([math.nan if x is None else x for x in column], float)
        parts = [column[i : i + every] for i in range(0, len(column), every)]
        parts = [part[np.isfinite(part)] for part in parts]
        means = [rounded(float(p.mean())) if len(p) else math.nan for p in parts]
        found[name] = np.array(means)
    return found


def totals(lines: Sequence[records.Record], episodes: int) -> dict[str, float]:
    """What the run cost: sums, and the median seconds of a warm iteration."""
    found: dict[str, float] = {"episodes": episodes * len(lines)}
    for name in ("data/steps", "data/tokens", *SECONDS):
        found[name] = rounded(sum(line.get(name) or 0.0 for line in lines))
    for name in SECONDS:
        warm = [line[name] for line in lines[WARM:] or lines if name in line]
        found[f"{name}/median"] = rounded(float(np.median(warm))) if warm else math.nan
    return found


def evaluations(folder: pathlib.Path, last: int) -> tuple[Evaluation, ...]:
    """The one after training task by task; of those before it the means alone."""
    found: dict[tuple, Evaluation] = {}
    for where in EVALUATIONS:
        for path in sorted((folder / where).glob("*.jsonl")):
            by_kind: dict[panel_records.Kind, list[records.Record]] = {}
            for line in records.read(path):
                kind = panel_records.Kind(
                    line["iteration"], line["decoding"], line["seed"]
                )
                by_kind.setdefault(kind, []).append(line)
            for kind, rows in by_kind.items():
                rows = sorted(rows, key=lambda row: row["task"])
                names = sorted(set(rows[0]) - {"iteration", "decoding", "seed", "task"})
                columns = {n: np.array([r[n] for r in rows], float) for n in names}
                columns = {
                    n: x
                    if kind.iteration == last and n in BY_TASK
                    else np.array([x.mean()])
                    for n, x in columns.items()
                }
                columns = {
                    n: np.array([rounded(v) for v in x]) for n, x in columns.items()
                }
                key = (path.stem, kind.iteration, kind.decoding, kind.seed)
                found.setdefault(key, Evaluation(*key, columns))
    return tuple(found[key] for key in sorted(found))


def stored_episodes(folder: pathlib.Path) -> list[records.Record]:
    """The first task's episodes of the newest trajectory file."""
    paths = sorted((folder / trajectories.FOLDER).glob("*.jsonl"))
    episodes = records.read(paths[-1]) if paths else []
    return [e for e in episodes if e["group"] == episodes[0]["group"]]


def cell_of(folder: pathlib.Path, config: Any) -> tuple[str, int]:
    """(cell, seed): CELL/seed-N names both, else the preset's method and the config."""
    named = SEED_FOLDER.fullmatch(folder.name)
    if named and int(named[1]) == config.seed:
        return folder.parent.name, config.seed
    return config.preset.partition(":")[2], config.seed


def of_folder(folder: pathlib.Path) -> Run:
    """One finished run. Raises Refused where it has not ended."""
    config, record = run_record.load(folder)
    lines = records.read(folder / metrics.FILE)
    if len(lines) < config.iterations:
        raise Refused(
            f"{folder} has {len(lines)} of {config.iterations} iterations; "
            "let it end, or leave it out"
        )
    every = max(1, -(-len(lines) // POINTS))
    flat = settings.flat(config)
    commit = record.get("commit")
    named = record.get("environment", {})
    run = Run(
        cell=cell_of(folder, config)[0],
        settings={name: _plain(flat[name]) for name in settings.FIELDS},
        origin={
            "environment_version": named.get("version"),
            "commit": commit and commit.partition("+")[0],
            "edited": bool(commit) and "+" in commit,
            "packages": record.get("packages", {}),
            "python": record.get("python"),
            "devices": record.get("devices", []),
            **{k: record[k] for k in ("command", "lanes") if k in record},
        },
        every=every,
        metrics=thinned(lines, every),
        totals=totals(lines, config.rollout.groups * config.rollout.group_size),
        evaluations=evaluations(folder, config.iterations),
        episodes=tuple(stored_episodes(folder)),
    )
    return run


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
