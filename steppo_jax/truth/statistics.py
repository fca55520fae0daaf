"""Bias and spread of a sampled estimator, with standard errors.

The squared norm of a mean error is inflated by noise. Everything here uses products
of *different* batches instead, which are unbiased, so a bias that is not there
shows as a number around 0, of either sign, and its standard error says how small a
bias could have been seen.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

# A bias is called seen above this many standard errors of bias². Without a bias, an
# estimate of bias² is (χ² − 1)-like: skewed, so that 3 would be passed by chance in
# up to 2.2 % of cases (one direction of noise), 5 in at most 0.45 %.
SEEN = 5


@dataclasses.dataclass(frozen=True)
class Gap:
    """How far an estimator is from what it should be."""

    squared: float  # bias², estimated without bias: may be negative
    squared_se: float  # its standard error
    std: float  # spread of one batch (gradient) or one number (advantage)

    @property
    def bias(self) -> float:
        """√bias², 0 where the estimate of bias² is negative."""
        return math.sqrt(max(self.squared, 0.0))

    @property
    def seen(self) -> bool:
        """True where bias² is more than SEEN standard errors above 0."""
        return self.squared > SEEN * self.squared_se

    @property
    def bias_se(self) -> float | None:
        """Standard error of the bias; None where none was seen."""
        return self.squared_se / (2 * self.bias) if self.seen else None

    @property
    def floor(self) -> float | None:
        """The smallest bias that would have been seen; None where one was."""
        return None if self.seen else math.sqrt(SEEN * self.squared_se)


def gradient_gap(gradients_RD: np.ndarray, truth_D: np.ndarray) -> Gap:
    """Relative to ‖truth‖: bias² = mean over pairs r ≠ s of (g_r − g)·(g_s − g)/‖g‖².

    The squared standard error is that of a U-statistic (Hoeffding 1948),
    (4 (R − 2) Var(a) + 2 Var(product))/(R (R − 1)). At least 5 batches.
    `std` is √(trace of the covariance of a batch's gradient)/‖g‖.
    """
    error = (gradients_RD - truth_D) / np.linalg.norm(truth_D)
    R = len(error)
    product = error @ error.T
    square = np.diag(product).copy()
    off = ~np.eye(R, dtype=bool)
    squared = product[off].mean()
    rows = (product.sum(1) - square) / (R - 1)
    # A product is mean + a_r + a_s + rest. The variance of row means holds that of
    # a_r, less what a row is part of the others' mean, and some of the rest.
    pairs = np.mean((product[off] - squared) ** 2)
    share = (1 - 1 / (R - 1)) ** 2 - 2 / (R - 1)
    own = max(rows.var(ddof=1) - pairs / (R - 1), 0.0) / share
    se = math.sqrt((4 * (R - 2) * own + 2 * pairs) / (R * (R - 1)))
    return Gap(float(squared), se, math.sqrt(max(square.mean() - squared, 0.0)))


def along(gradients_RD: np.ndarray, truth_D: np.ndarray) -> tuple[float, float]:
    """(slope, standard error): g_r·g/‖g‖², 1 where the length of g is right too."""
    slope = gradients_RD @ truth_D / (truth_D @ truth_D)
    return float(slope.mean()), float(slope.std(ddof=1) / math.sqrt(len(slope)))


def cosine(gradients_RD: np.ndarray, truth_D: np.ndarray) -> tuple[float, float]:
    """(cosine, standard error) between the expected gradient and the truth.

    ‖E g‖² is taken from pairs of different batches; the error by leaving out one
    batch at a time. NaN where noise hides the expected gradient.
    """
    unit = truth_D / np.linalg.norm(truth_D)
    R = len(gradients_RD)
    total, dots = gradients_RD.sum(0), gradients_RD @ unit
    square = (gradients_RD**2).sum(1)

    def of(total_dot, total_square, squares, count):
        norm2 = (total_square - squares) / (count * (count - 1))
        with np.errstate(invalid="ignore"):
            return total_dot / count / np.sqrt(norm2)

    every = of(dots.sum(), total @ total, square.sum(), R)
    without = of(
        dots.sum() - dots,
        total @ total - 2 * gradients_RD @ total + square,
        square.sum() - square,
        R - 1,
    )
    se = math.sqrt((R - 1) * np.mean((without - without.mean()) ** 2))
    return float(every), se


def advantage_gap(count_FC: np.ndarray, sum_FC: np.ndarray, square: float) -> Gap:
    """Root mean square over cells C of the conditional bias, and the spread left.

    `count` and `sum` are the numbers and summed errors of each of F independent
    folds in each cell; `square` is the sum of squared errors. A cell's bias² is the
    product of different folds; the error is by leaving out one fold at a time.
    Cells that one fold alone has seen are left out.
    """

    def squared(count, total):
        n, s = count.sum(0), total.sum(0)
        pairs = n**2 - (count**2).sum(0)
        product = s**2 - (total**2).sum(0)
        known = pairs > 0
        return float((n * product / np.where(known, pairs, 1))[known].sum()) / float(
            n[known].sum()
        )

    F = len(count_FC)
    found = squared(count_FC, sum_FC)
    without = np.array(
        [squared(np.delete(count_FC, f, 0), np.delete(sum_FC, f, 0)) for f in range(F)]
    )
    se = math.sqrt((F - 1) * np.mean((without - without.mean()) ** 2))
    return Gap(found, se, math.sqrt(max(square / count_FC.sum() - found, 0.0)))
