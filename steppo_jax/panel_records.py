"""eval/PANEL.jsonl: one object per task and evaluation, and what it comes to.

An evaluation is known by its iteration (0 = before training) and by how it decoded.
Writing one again replaces it, so a resumed run never counts an episode twice.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steppo_jax import records
from steppo_jax.intervals import Interval, mean_bootstrap, wilson

FOLDER = "eval"


@dataclasses.dataclass(frozen=True)
class Kind:
    """What makes two evaluations of a panel comparable."""

    iteration: int  # iterations of training before it
    decoding: str  # "sampled" or "greedy"
    seed: int  # of the sampling


@dataclasses.dataclass(frozen=True)
class Summary:
    """One evaluation of one panel."""

    panel: str
    kind: Kind
    episodes: int
    success: Interval  # Wilson
    returns: Interval  # bootstrap over tasks
    steps: float  # mean over all episodes
    golden_steps: float  # mean of the fewest possible, same tasks


NUMBERS = ("seed", "task", "success", "return", "steps", "golden_steps")


def lines_of(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a panel's file. Raises BrokenRecords for what no run writes."""
    found = records.numbered(path)
    for place, line in enumerate(found, start=1):
        bad = [name for name in NUMBERS if not records.number(line.get(name))]
        if not isinstance(line.get("decoding"), str):
            bad.append("decoding")
        if not bad and line["success"] not in (0, 1):
            bad.append("success")
        if bad:
            raise records.BrokenRecords(
                f"{path}: object {place} has {bad[0]}="
                f"{repr(line.get(bad[0]))[:40]}; repair or delete the line"
            )
    return found


def write(
    path: pathlib.Path,
    kind: Kind,
    outcome: Mapping[str, Sequence[float]],
    golden_steps: Sequence[int],
) -> None:
    """Adds or replaces one evaluation; `outcome` has one value per task and name.

    Needed names: success (0 or 1), return, steps. Others are kept as they are.
    """
    key = dataclasses.asdict(kind)
    lines = [r for r in lines_of(path) if Kind(**{k: r[k] for k in key}) != kind]
    columns = {name: np.asarray(x).tolist() for name, x in outcome.items()}
    columns["golden_steps"] = np.asarray(golden_steps).tolist()
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"one value per task is needed in every column, not {lengths}")
    for task in range(lengths["golden_steps"]):
        row = {name: column[task] for name, column in columns.items()}
        lines.append({**key, "task": task, **row})
    lines.sort(key=lambda r: (*(r[k] for k in key), r["task"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(records.dumps(line) + "\n" for line in lines)
    records.write_atomically(path, text)


def truncate(workdir: pathlib.Path, after_iteration: int) -> None:
    """Drops evaluations made after more than `after_iteration` iterations (resume)."""
    for path in sorted((workdir / FOLDER).glob("*.jsonl")):
        with records.Records(path) as file:
            file.truncate(after_iteration + 1)


def summarise(panel: str, lines: Sequence[Mapping[str, Any]]) -> list[Summary]:
    """One summary per evaluation in `lines`, by iteration."""
    groups: dict[Kind, list[Mapping[str, Any]]] = {}
    for line in lines:
        kind = Kind(line["iteration"], line["decoding"], line["seed"])
        groups.setdefault(kind, []).append(line)
    order = sorted(groups, key=lambda k: (k.iteration, k.decoding, k.seed))
    return [_summary(panel, kind, groups[kind]) for kind in order]


def _summary(panel: str, kind: Kind, rows: list[Mapping[str, Any]]) -> Summary:
    return Summary(
        panel=panel,
        kind=kind,
        episodes=len(rows),
        success=wilson(sum(row["success"] for row in rows), len(rows)),
        returns=mean_bootstrap([row["return"] for row in rows]),
        steps=float(np.mean([row["steps"] for row in rows])),
        golden_steps=float(np.mean([row["golden_steps"] for row in rows])),
    )


def of_file(path: pathlib.Path) -> list[Summary]:
    """Summaries of one panel's file, in order of iteration."""
    return summarise(path.stem, lines_of(path))


def read(workdir: pathlib.Path) -> dict[str, list[Summary]]:
    """Panel → summaries in order of iteration, of every panel of a run."""
    paths = sorted((workdir / FOLDER).glob("*.jsonl"))
    return {path.stem: of_file(path) for path in paths}
