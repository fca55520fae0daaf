"""How close estimates come to a truth that is itself measured with noise.

The truth of a step is measured twice, y₁ and y₂, each unbiased and independent of the
other given the episode. Products of the two carry no noise:

    Var(A) = E[y₁ y₂] − E[y₁] E[y₂]          E[(x − A)²] = E[(x − y₁)(x − y₂)]

so correlation and error are those with the true advantage A, not with a noisy copy.
Standard errors are bootstrapped over tasks: the episodes of one task are compared
with each other by group methods, so episodes alone would not be independent.
"""

from __future__ import annotations

import dataclasses

import numpy as np

MATTERS = 0.05  # |A| from which the sign of a step's credit is asked for
RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Score:
    """An estimate with its standard error."""

    value: float
    se: float


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """One estimator against the truth."""

    correlation: Score  # with the true advantage
    raw: Score  # with the measured one: what noise in the branches leaves of it
    sign: Score  # share of steps that matter whose sign is right; 0 counts as half
    error: Score  # √E[(x − A)²] / std(A); 1 is what crediting nothing gives
    difference: Score  # of the correlation, to the trial compared with, paired


def of_all(
    estimates: dict, truth_B2: np.ndarray, task_B: np.ndarray, against, seed: int = 0
) -> dict:
    """Fidelity of each of `estimates` (name → [B]); `against` is one of the names.

    Every name sees the same resampled tasks, so differences are paired.
    """
    _, cluster_B = np.unique(task_B, return_inverse=True)
    C = cluster_B.max() + 1
    draws = np.random.default_rng(seed).multinomial(C, np.full(C, 1 / C), RESAMPLES)
    weights = np.concatenate([np.ones((1, C)), draws])  # the first row: as it is
    scores = {
        name: _scores(weights @ _sums(x_B, truth_B2, cluster_B, C))
        for name, x_B in estimates.items()
    }
    base = scores[against][0]
    return {
        name: Fidelity(*map(_score, (*found, found[0] - base)))
        for name, found in scores.items()
    }


def _score(values: np.ndarray) -> Score:
    drawn = values[1:][np.isfinite(values[1:])]  # a draw may hold nothing that varies
    return Score(float(values[0]), float(drawn.std()) if len(drawn) else np.nan)


def _sums(x: np.ndarray, y: np.ndarray, cluster: np.ndarray, C: int) -> np.ndarray:
    """[C, 11] sums over the steps of each task."""
    x, (y1, y2) = x.astype(np.float64), y.astype(np.float64).T
    mean = (y1 + y2) / 2
    counts = (np.abs(mean) > MATTERS) & (y1 * y2 > 0)  # noise may not decide the sign
    right = np.where(x == 0, 0.5, np.sign(x) == np.sign(mean))
    columns = (
        np.ones_like(x),
        x,
        y1,
        y2,
        x * x,
        y1 * y2,
        x * mean,
        mean * mean,
        (x - y1) * (x - y2),
        counts,
        counts * right,
    )
    return np.stack([np.bincount(cluster, c, C) for c in columns], axis=1)


def _scores(sums_R11: np.ndarray) -> tuple[np.ndarray, ...]:
    """[R] each: correlation, raw correlation, sign agreement, relative error."""
    n, x, y1, y2, xx, y12, xm, mm, e, counts, right = sums_R11.T
    mean = (y1 + y2) / 2 / n
    cov = xm / n - x / n * mean
    var_x, var_a = xx / n - (x / n) ** 2, y12 / n - y1 * y2 / n**2
    with np.errstate(invalid="ignore", divide="ignore"):  # nothing varies: NaN
        correlation = cov / np.sqrt(var_x * var_a)
        raw = cov / np.sqrt(var_x * (mm / n - mean**2))
        error = np.sqrt(np.maximum(e / n, 0) / var_a)
        return correlation, raw, right / counts, error
