"""Few runs, compared: the field's practice, by SciPy.

Interquartile means with stratified bootstrap intervals and the probability of
improvement are those of R. Agarwal et al. 2021 (arXiv 2108.13264), whose package
`rliable` is kept from current versions by the limit it sets on `arch`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from steppo_jax.intervals import LEVEL, Interval, detectable, mean_t

TRIM = 0.25  # of each end, for an interquartile mean
RESAMPLES = 2000


def iqm(values: Sequence[float]) -> float:
    """Mean without the ⌊n/4⌋ lowest and as many highest values."""
    return float(scipy.stats.trim_mean(np.asarray(values, float), TRIM))


def iqm_interval(strata: Sequence[Sequence[float]], level: float = LEVEL) -> Interval:
    """Interquartile mean of all values, percentile bootstrap inside each stratum.

    Args:
      strata: the runs of each task (environment); a stratum keeps its size.

    Repeatable: the resampling has its own seed. Bounds are NaN where a stratum has
    one run: nothing can be resampled.
    """
    arrays = [np.asarray(x, float) for x in strata]
    value = iqm(np.concatenate(arrays))
    if min(map(len, arrays)) < 2:
        return Interval(value, math.nan, math.nan)

    def statistic(*samples, axis=-1):
        joined = np.concatenate(samples, axis=axis)
        return scipy.stats.trim_mean(joined, TRIM, axis=axis)

    low, high = _bootstrap(arrays, statistic, level)
    return Interval(value, low, high)


def _bootstrap(arrays, statistic, level: float) -> tuple[float, float]:
    if all(np.ptp(x) == 0 for x in arrays):
        only = float(statistic(*(x[None] for x in arrays))[0])
        return only, only
    found = scipy.stats.bootstrap(
        arrays,
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def improvement(x: Sequence[float], y: Sequence[float]) -> float:
    """P(X > Y) + P(X = Y)/2 over pairs of runs: U/(nm) of Mann and Whitney."""
    result = scipy.stats.mannwhitneyu(x, y, method="asymptotic")
    return float(result.statistic) / (len(x) * len(y))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """a − b over the seeds that both have."""

    a: str
    b: str
    seeds: int
    difference: Interval  # paired, Student's t
    improvement: float  # probability, over all pairs of runs
    detectable: float  # with power intervals.POWER

    @property
    def verdict(self) -> str:
        """What the interval allows to say."""
        if math.isnan(self.difference.low):
            return "one pair of runs: nothing can be said"
        if self.difference.low > 0:
            return f"{self.a} is higher"
        if self.difference.high < 0:
            return f"{self.b} is higher"
        return "a tie: no difference shown"

    def text(self, what: str = "") -> str:
        """One line for people."""
        seeds = f"{self.seeds} paired seed" + ("s" if self.seeds != 1 else "")
        difference = f"{self.difference.value:+.3f}"
        if not math.isnan(self.difference.low):
            difference = self.difference.text("+.3f")
        difference = difference.replace("-", "−")
        line = f"{self.a} − {self.b}{what}: {difference} ({seeds})"
        line += f", P(first > second) {self.improvement:.2f}"
        if not math.isnan(self.detectable):
            line += f", smallest detectable difference {self.detectable:.3f}"
        return f"{line} → {self.verdict}."


def compare(
    a: str, b: str, values: Mapping[int, float], base: Mapping[int, float]
) -> Comparison | None:
    """Paired comparison of two cells, seed → value each; None without a common seed."""
    seeds = sorted(values.keys() & base.keys())
    if not seeds:
        return None
    gaps = np.array([values[s] - base[s] for s in seeds])
    std = float(gaps.std(ddof=1)) if len(seeds) > 1 else math.nan
    return Comparison(
        a=a,
        b=b,
        seeds=len(seeds),
        difference=mean_t(gaps),
        improvement=improvement(list(values.values()), list(base.values())),
        detectable=detectable(std, len(seeds)),
    )
