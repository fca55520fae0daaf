"""Confidence intervals of proportions and means; 95 % unless another level is given."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

LEVEL = 0.95
POWER = 0.8  # chance of seeing a difference that is there


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


def detectable(
    std: float, pairs: int, level: float = LEVEL, power: float = POWER
) -> float:
    """Smallest true difference that a paired t test of so many pairs finds.

    Two-sided at 1 − level, with the given power, for pair differences of standard
    deviation `std`: the δ with P(|T| > t) = power, T noncentral t with n − 1 degrees
    of freedom and noncentrality δ√n/std. NaN for fewer than two pairs.
    """
    if pairs < 2:
        return math.nan
    if std == 0:
        return 0.0
    return _shift(pairs, level, power) * std / math.sqrt(pairs)


@functools.cache
def _shift(pairs: int, level: float, power: float) -> float:
    """The noncentrality at which the test has that power."""
    free = pairs - 1
    reach = scipy.stats.t.ppf((1 + level) / 2, free) / math.sqrt(free)

    def excess(shift: float) -> float:
        # SciPy's noncentral t is NaN for large shifts, so: over the sample's spread.
        def seen(spread: float) -> float:
            above = scipy.special.ndtr(shift - reach * spread)
            return above + scipy.special.ndtr(-shift - reach * spread)

        return scipy.stats.chi(free).expect(seen) - power

    return float(scipy.optimize.brentq(excess, 0.0, 2 * reach * math.sqrt(free) + 5))


def smallest_detectable(values: Sequence[float]) -> float:
    """`detectable` of the differences that were seen; NaN for one value."""
    x = _array(values)
    return detectable(float(x.std(ddof=1)) if len(x) > 1 else math.nan, len(x))


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
