"""Runs under a folder: run folders and run records, at any depth."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable, Sequence

from steppo_jax import metrics, records, run_record
from steppo_jax.errors import Refused
from steppo_jax.study import collect, store
from steppo_jax.study.run import Run


def load(folder: pathlib.Path, tell: Callable[[str], None]) -> list[Run]:
    """Every finished run, in a fixed order; tells about those that are left out.

    Raises Refused where there is none, or where two are the same cell, settings and
    seed.
    """
    if not folder.is_dir():
        raise Refused(f"--runs={folder} is no folder; give one that holds runs")
    found: list[tuple[str, Run]] = []
    for path in sorted(folder.rglob(run_record.FILE)):
        if not (path.parent / metrics.FILE).exists():
            tell(f"left out: {path.parent} has no {metrics.FILE}")
            continue
        try:
            found.append((str(path.parent), collect.of_folder(path.parent)))
        except Refused as refused:
            tell(f"left out: {refused}")
    for path in sorted(folder.rglob(f"*{store.SUFFIX}")):
        if _is_record(path):
            found.append((str(path), store.read(path)))
    if not found:
        raise Refused(
            f"--runs={folder} has no finished run folder and no run record; train one "
            "with python -m experiments.train or experiments.ablate"
        )
    _refuse_twins(found)
    return sorted((run for _, run in found), key=order)


def _is_record(path: pathlib.Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith('{"format"')


def order(run: Run) -> tuple:
    """Environment, cell, settings, seed."""
    return run.environment, run.cell, run.background(()), run.seed


def _refuse_twins(found: Sequence[tuple[str, Run]]) -> None:
    seen: dict[tuple, str] = {}
    for where, run in found:
        key = order(run)
        if key in seen:
            raise Refused(
                f"{where} and {seen[key]} are the same run (cell {run.cell}, seed "
                f"{run.seed}, same settings); give a folder with one of them"
            )
        seen[key] = where


def labels(runs: Sequence[Run]) -> dict[int, str]:
    """id of a run → name of its cell, with what sets it apart where names repeat.

    Runs of one label have the same settings but for the seed.
    """
    by_cell: dict[tuple[str, str], dict[tuple, list[Run]]] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for run in runs:
        by_cell[run.environment, run.cell][run.background(())].append(run)
    named = {}
    for (_, cell), kinds in by_cell.items():
        varying = sorted(
            {name for name, _ in set.symmetric_difference(*_pair(kinds))}
            if len(kinds) == 2
            else {
                name
                for pairs in zip(*kinds, strict=True)
                for name, _ in pairs
                if len(set(pairs)) > 1
            }
        )
        for background, group in kinds.items():
            values = dict(background)
            apart = ", ".join(f"{n}={values[n]}" for n in varying)
            for run in group:
                named[id(run)] = f"{cell} ({apart})" if apart else cell
    return named


def _pair(kinds) -> tuple[set, set]:
    one, two = kinds
    return set(one), set(two)


def write(
    runs: Sequence[Run], out: pathlib.Path, episodes_of: int
) -> list[pathlib.Path]:
    """The records of runs under `out`; episodes only of the runs with that seed."""
    paths = []
    for run in runs:
        path = out / store.name_of(run, list(runs))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = store.dumps(run, with_episodes=run.seed == episodes_of)
        records.write_atomically(path, text)
        paths.append(path)
    return paths
