"""Runs grouped into cells, and cells compared: what most figures begin with."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from steppo_jax.intervals import Interval, mean_t
from steppo_jax.study.finding import labels
from steppo_jax.study.run import Run
from steppo_jax.study.statistics import iqm_interval

# What a method brings along: they follow the estimator and the ratio, and are no
# setting of the experiment.
FOLLOWING = (
    "credit.normalise",
    "credit.divide_by_std",
    "credit.step_weight",
    "credit.token_gamma",
    "critic.",
    "objective.clip_low",
    "objective.clip_high",
)
PANEL = "unseen"  # where results are read
CHOOSING = "seen"  # where settings are chosen
# The environment's own measure of success, where it is not that of whole tasks.
MEASURES = {"shop": "score", "paper_search": "recall"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """Runs that differ in the seed only."""

    label: str
    runs: tuple[Run, ...]  # by seed

    @property
    def settings(self) -> Mapping:
        return self.runs[0].settings

    @property
    def environment(self) -> str:
        return self.runs[0].environment

    def values(self, panel: str = PANEL, measure: str = "success") -> dict[int, float]:
        """Seed → mean of a column on a panel after training, where it was played."""
        found = {}
        for run in self.runs:
            played = run.last(panel)
            if played is not None and measure in played.columns:
                found[run.seed] = played.mean(measure)
        return found

    def interval(self, panel: str = PANEL, measure: str = "success") -> Interval:
        """Mean over seeds with Student's interval."""
        return mean_t(list(self.values(panel, measure).values()))

    def iqm(self, panel: str = PANEL, measure: str = "success") -> Interval:
        """Interquartile mean over seeds, bootstrap."""
        return iqm_interval([list(self.values(panel, measure).values())])

    def mean(self, of: Callable[[Run], float]) -> float:
        return sum(map(of, self.runs)) / len(self.runs)


def of_runs(runs: Sequence[Run]) -> list[Cell]:
    """All cells, in the order of the runs. Runs without the panel are left out."""
    named = labels(runs)
    groups: dict[tuple, list[Run]] = collections.defaultdict(list)
    for run in runs:
        if run.last(PANEL) is not None:
            groups[run.environment, named[id(run)]].append(run)
    return [
        Cell(label, tuple(sorted(group, key=lambda r: r.seed)))
        for (_, label), group in groups.items()
    ]


def families(cells: Sequence[Cell], varied: tuple[str, ...]) -> list[list[Cell]]:
    """Cells that differ in the `varied` settings only; the largest family first."""
    groups: dict[tuple, list[Cell]] = collections.defaultdict(list)
    for cell in cells:
        groups[cell.runs[0].background((*varied, *FOLLOWING))].append(cell)
    return sorted(
        groups.values(), key=lambda group: -sum(len(cell.runs) for cell in group)
    )


def by_environment(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = collections.defaultdict(list)
    for cell in cells:
        found[cell.environment].append(cell)
    return dict(sorted(found.items()))


def seeds_text(cells: Sequence[Cell]) -> str:
    """`5 seeds`, or `1–5 seeds` where cells have different numbers."""
    counts = sorted({len(cell.runs) for cell in cells})
    if len(counts) == 1:
        return f"{counts[0]} seed" + ("s" if counts[0] != 1 else "")
    return f"{counts[0]}–{counts[-1]} seeds"


def joined(names: Sequence[str]) -> str:
    """`a, b and c`"""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
