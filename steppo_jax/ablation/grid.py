"""What an ablation is to run: named cells, each a configuration, times seeds."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from steppo_jax import records, run_record, settings
from steppo_jax.errors import Refused
from steppo_jax.settings.errors import unknown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")  # a folder's, on any system
FILE, RECORD = "ablation.json", "record.json"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One setting of an ablation."""

    name: str  # its folder
    text: str  # what `experiments.train --config=` would get
    config: ConfigDict  # the seed in it is replaced


@dataclasses.dataclass(frozen=True)
class Ablation:
    """Cells × seeds; differences are taken to the first cell of each environment."""

    name: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    smoke: bool = False  # runs of seconds, to be compiled quickly

    def runs(self) -> list[Run]:
        """Every run, cell by cell."""
        return [Run(cell, seed) for cell in self.cells for seed in self.seeds]

    def only(self, cells: Sequence[str], seeds: Sequence[int]) -> Ablation:
        """Of these cells and seeds; an empty list means all, and seeds may be new.

        Raises Refused for a cell that does not exist.
        """
        names = [cell.name for cell in self.cells]
        for name in cells:
            if name not in names:
                raise unknown("cell", name, names)
        chosen = tuple(c for c in self.cells if not cells or c.name in cells)
        return dataclasses.replace(self, cells=chosen, seeds=tuple(seeds) or self.seeds)


@dataclasses.dataclass(frozen=True)
class Run:
    """One cell with one seed."""

    cell: Cell
    seed: int

    @property
    def name(self) -> str:
        """Its folder under the ablation's."""
        return f"{self.cell.name}/seed-{self.seed}"

    @property
    def config(self) -> ConfigDict:
        """The resolved settings: the cell's with this seed, on one device."""
        config = self.cell.config.copy_and_resolve_references()
        config.seed, config.devices = self.seed, 1
        return config


def check(ablation: Ablation) -> None:
    """Returns if every cell can run; else raises Refused, naming the cell."""
    if not ablation.cells:
        raise Refused(f"ablation {ablation.name} has no cells; give it one or more")
    if len(set(ablation.seeds)) < len(ablation.seeds) or not ablation.seeds:
        raise Refused(f"seeds {list(ablation.seeds)}: needs one or more, all different")
    same: dict[str, str] = {}
    for cell in ablation.cells:
        if not NAME.fullmatch(cell.name):
            raise _bad(cell, "its name is a folder; use letters, digits and . _ = + -")
        if cell.config.devices not in (0, 1):
            raise _bad(
                cell,
                f"config.devices={cell.config.devices}: a run of an ablation has one "
                "device; leave it out",
            )
        for seed in ablation.seeds:
            try:
                settings.check(Run(cell, seed).config)
            except Refused as error:
                raise _bad(cell, str(error)) from None
        values = settings.flat(cell.config)
        key = repr([values[name] for name in values if name not in ("preset", "seed")])
        if key in same:
            raise _bad(cell, f"the same settings as cell {same[key]}; leave one out")
        same[key] = cell.name


def _bad(cell: Cell, why: str) -> Refused:
    return Refused(f"cell {cell.name} ({cell.text}): {why}")


def check_folder(ablation: Ablation, workdir: pathlib.Path) -> None:
    """Raises Refused where `workdir` holds a run of a cell with other settings."""
    for run in ablation.runs():
        if not (workdir / run.name / run_record.FILE).exists():
            continue
        old, _ = run_record.load(workdir / run.name)
        differ = run_record.differences(old.to_dict(), run.config.to_dict())
        if differ:
            raise _bad(
                run.cell,
                f"{workdir / run.name} holds another run; {'; '.join(differ)}; rename "
                "the cell, or use another workdir",
            )


def finished(run: Run, workdir: pathlib.Path) -> bool:
    """Whether everything of a run is there."""
    return (workdir / run.name / RECORD).exists()


def describe(ablation: Ablation, origin: Mapping[str, object]) -> str:
    """The content of ablation.json; `origin`: command and commit."""
    cells = [{"name": cell.name, "config": cell.text} for cell in ablation.cells]
    whole = {"name": ablation.name, **origin, "seeds": list(ablation.seeds)}
    return records.dumps({**whole, "cells": cells}, indent=1) + "\n"
