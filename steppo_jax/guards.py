"""When a run must stop: judged after every iteration, from its numbers alone.

What a guard remembers of earlier iterations is read back from metrics.jsonl, so a
resumed run is stopped exactly where an undisturbed one would be.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from steppo_jax import metrics
from steppo_jax.errors import Refused
from steppo_jax.metrics import KL

GAP = "policy/sampler_gap_mean"
LOSSES = ("policy/loss", "critic/loss")
SKIPS, GAPS = "guards/skips_in_a_row", "guards/gaps_in_a_row"
WINDOW, FEWEST = 20, 10  # iterations that a spike is measured against


class RunStopped(Refused):
    """A guard stopped the run; what was learned until then is kept."""


@dataclasses.dataclass(frozen=True)
class GuardSettings:
    """Bounds of a run's numbers; None switches a guard off."""

    max_skips: int  # optimizer steps left out in a row
    sampler_gap: float | None  # mean |log π_old − log μ| of an iteration, in nats
    gap_patience: int | None  # iterations in a row above it
    max_kl: float | None  # mean KL(old‖new) of an iteration, in nats
    loss_spike: float | None  # standard deviations above the last losses' mean


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the guards say of one iteration."""

    metrics: dict[str, float]  # counters, to be written with the iteration's
    warnings: list[str]
    stop: str | None  # why the run must stop


class Guards:
    """The guards of one run and what they remember."""

    def __init__(self, settings: GuardSettings, workdir: pathlib.Path, start: int):
        """Remembers the iterations before `start` that metrics.jsonl has."""
        self.settings = settings
        before = [r for r in metrics.read(workdir) if r["iteration"] < start]
        last = before[-1] if before else {}
        self._skips, self._gaps = (_count(last, name) for name in (SKIPS, GAPS))
        self._losses = {
            name: collections.deque(
                (r[name] for r in before[-WINDOW:] if r.get(name) is not None),
                maxlen=WINDOW,
            )
            for name in LOSSES
        }

    def judge(
        self, iteration: int, values: Mapping[str, float], skipped_U: Sequence[bool]
    ) -> Verdict:
        """The verdict on an iteration (from 0) with these metrics.

        `skipped_U` has one entry for each of its optimizer steps: whether it was left
        out because loss or gradient was not finite.
        """
        warnings: list[str] = []
        stops = [
            self._steps(iteration, np.asarray(skipped_U, bool), warnings),
            self._gap(iteration, values[GAP], warnings),
            self._kl(iteration, values[KL]),
            *(self._spike(iteration, name, values) for name in LOSSES),
        ]
        counters = {SKIPS: float(self._skips), GAPS: float(self._gaps)}
        return Verdict(counters, warnings, next(filter(None, stops), None))

    def _steps(self, iteration, skipped_U, warnings) -> str | None:
        stop, most = None, self.settings.max_skips
        for place, skip in enumerate(skipped_U):
            self._skips = self._skips + 1 if skip else 0
            if self._skips == most:
                last = iteration * len(skipped_U) + place + 1
                stop = (
                    f"iteration {iteration}: optimizer updates {last - most + 1} to "
                    f"{last} had a loss or gradient that is not finite and were left "
                    f"out, guards.max_skips={most} in a row; see faults/, then lower "
                    "the learning rates or mend the rewards"
                )
        if skipped_U.any():
            places = iteration * len(skipped_U) + 1 + np.flatnonzero(skipped_U)
            warnings.append(
                f"iteration {iteration}: loss or gradient not finite, "
                f"{len(places)} of {len(skipped_U)} optimizer updates left out "
                f"({', '.join(map(str, places[:8]))}{' …' if len(places) > 8 else ''})"
            )
        return stop

    def _gap(self, iteration, gap, warnings) -> str | None:
        bound, patience = self.settings.sampler_gap, self.settings.gap_patience
        if bound is None or gap <= bound:  # NaN is above every bound
            self._gaps = 0
            return None
        self._gaps += 1
        text = (
            f"iteration {iteration}: sampler and learner differ by {gap:.3g} nats per "
            f"token, guards.sampler_gap={bound:g}"
        )
        if self._gaps < patience:
            warnings.append(text)
            return None
        return (
            f"{text}, for {self._gaps} iterations in a row; use the same precision in "
            "both, or raise the bound"
        )

    def _kl(self, iteration, kl) -> str | None:
        bound = self.settings.max_kl
        if bound is None or math.isnan(kl) or kl <= bound:
            return None
        return (
            f"iteration {iteration}: {KL} {kl:.3g} is above guards.max_kl={bound:g}; "
            "lower policy.learning_rate or learner.epochs, or raise the bound"
        )

    def _spike(self, iteration, name, values) -> str | None:
        bound, loss = self.settings.loss_spike, values.get(name)
        if bound is None or loss is None:
            return None
        before = [x for x in self._losses[name] if math.isfinite(x)]
        self._losses[name].append(loss)
        if len(before) < FEWEST or not math.isfinite(loss):
            return None
        mean, spread = float(np.mean(before)), float(np.std(before))
        if loss - mean <= bound * spread:
            return None
        return (
            f"iteration {iteration}: {name} {loss:.3g} is more than "
            f"guards.loss_spike={bound:g} standard deviations above {mean:.3g} ± "
            f"{spread:.3g} of the {len(before)} iterations before; lower the learning "
            "rates, or raise the bound"
        )


def _count(line: Mapping[str, Any], name: str) -> int:
    """A counter of the last line; 0 in runs that are older than it, or where broken."""
    value = line.get(name)
    return int(value) if value is not None and math.isfinite(value) else 0
