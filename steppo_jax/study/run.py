"""One finished run, small: settings, origin, thinned metrics, outcome of every task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

FORMAT = 1  # of the file; a reader refuses others
SEED_FIELDS = ("seed", "devices")  # what differs between runs of one cell


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One panel played once; a column has one value per task."""

    panel: str
    iteration: int  # iterations of training before it
    decoding: str
    seed: int
    columns: Mapping[str, np.ndarray]

    def mean(self, name: str) -> float:
        """Mean of a column over tasks."""
        return float(np.mean(self.columns[name]))


@dataclasses.dataclass(frozen=True)
class Run:
    """What a figure may know of a run."""

    cell: str  # the method, or the name its ablation gave it
    settings: Mapping[str, Any]  # every dotted field of the config
    origin: Mapping[str, Any]  # environment, commit, edited, packages, python, …
    every: int  # iterations that one entry of `metrics` is the mean of
    metrics: Mapping[str, np.ndarray]  # name → means; NaN where there was no value
    totals: Mapping[str, float]  # episodes, steps, tokens, seconds of the whole run
    evaluations: tuple[Evaluation, ...]
    episodes: tuple[Mapping[str, Any], ...] = ()  # a few, as `trajectories` has them

    @property
    def environment(self) -> str:
        return self.settings["env.name"]

    @property
    def seed(self) -> int:
        return self.settings["seed"]

    @property
    def episodes_per_iteration(self) -> int:
        return self.settings["rollout.groups"] * self.settings["rollout.group_size"]

    def done(self) -> np.ndarray:
        """Iterations done at the end of each entry of `metrics`."""
        count = len(next(iter(self.metrics.values()), ()))
        ends = self.every * np.arange(1, count + 1)
        return np.minimum(ends, self.settings["iterations"])

    def cumulative(self, name: str) -> np.ndarray:
        """Sum of a metric since the start, at the end of each entry."""
        sizes = np.diff(self.done(), prepend=0)
        return np.cumsum(sizes * np.nan_to_num(self.metrics[name]))

    def last(self, panel: str) -> Evaluation | None:
        """The evaluation after the last iteration, decoded as the run says."""
        for found in self.evaluations:
            if (found.panel, found.iteration, found.decoding, found.seed) == (
                panel,
                self.settings["iterations"],
                self.settings["eval.decoding"],
                0,
            ):
                return found
        return None

    def background(self, varied: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Settings outside `varied` (names or prefixes ending in "."), hashable."""
        skipped = (*varied, *SEED_FIELDS, "preset")
        return tuple(
            (name, repr(value))
            for name, value in sorted(self.settings.items())
            if not any(
                name == skip or (skip.endswith(".") and name.startswith(skip))
                for skip in skipped
            )
        )
