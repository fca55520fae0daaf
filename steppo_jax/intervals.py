"""Confidence intervals of proportions and means; 95 % unless another level is given."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.stats

LEVEL = 0.95
POWER = 0.8


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its lower and upper bound."""

    value: float
    low: float
    high: float

    def text(self, form: str = ".3f") -> str:
        """`value [low, high]`"""
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def wilson(successes: float, total: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (E. B. Wilson 1927), good near 0 and 1.

    Raises ValueError unless 0 ≤ successes ≤ total, both whole, and total ≥ 1.
    """
    if total < 1 or not 0 <= successes <= total or successes != int(successes):
        raise ValueError(f"{successes} successes of {total} trials are no proportion")
    test = scipy.stats.binomtest(int(successes), total)
    bounds = test.proportion_ci(level, method="wilson")
    return Interval(successes / total, float(bounds.low), float(bounds.high))


def mean_t(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's interval of a mean: for few values (seeds). One value: bounds are NaN.

    The standard deviation has ddof 1. Raises ValueError without values.
    """
    x = _array(values)
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, math.nan, math.nan)
    reach = scipy.stats.t.ppf((1 + level) / 2, len(x) - 1)
    half = float(reach * x.std(ddof=1) / math.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half)


def smallest_detectable(
    values: Sequence[float], level: float = LEVEL, power: float = POWER
) -> float:
    """The true mean at which a t test of so many such values would reject 0.

    δ with P(|t| > t_crit) = `power`, t noncentral with δ √n / s: what an experiment of
    this size and spread could have shown. NaN for one value; 0 where none varies.
    """
    x = _array(values)
    if len(x) == 1:
        return math.nan
    free = len(x) - 1
    unit = float(x.std(ddof=1) / math.sqrt(len(x)))
    if not unit > 0:
        return unit
    critical = scipy.stats.t.ppf((1 + level) / 2, free)
    # The noncentral t over equally likely spreads: SciPy's own is NaN for large shifts.
    middle = (np.arange(2000) + 0.5) / 2000
    wanted = critical * np.sqrt(scipy.stats.chi2.ppf(middle, free) / free)

    def missing(shift: float) -> float:
        seen = scipy.stats.norm.cdf([shift - wanted, -shift - wanted])
        return float(seen.sum(axis=0).mean()) - power

    return unit * float(scipy.optimize.brentq(missing, 0.0, 2 * critical + 5))


def mean_bootstrap(
    values: Sequence[float], level: float = LEVEL, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile bootstrap of a mean: for many values of any shape (tasks of a panel).

    Repeatable: the resampling has its own seed. Raises ValueError without values.
    """
    x = _array(values)
    draw = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    tail = (1 - level) / 2
    low, high = np.quantile(x[draw].mean(axis=1), [tail, 1 - tail])
    return Interval(float(x.mean()), float(low), float(high))


def _array(values: Sequence[float]) -> np.ndarray:
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"an interval needs a list of numbers, not shape {x.shape}")
    return x
