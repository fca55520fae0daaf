"""Bias² from pairs of different batches, by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax.truth import statistics

TRUTH = np.array([3.0, 4.0])  # of length 5


def test_a_constant_error_is_all_bias():
    gap = statistics.gradient_gap(np.tile(TRUTH + np.array([0.0, 1.0]), (6, 1)), TRUTH)
    assert_allclose((gap.bias, gap.std), (0.2, 0.0), atol=1e-7)
    assert gap.seen and gap.floor is None and gap.bias_se < 1e-7


def test_noise_is_no_bias():
    """Errors (±1, 0), (0, ±1): products of different ones sum to −4 over 12 pairs."""
    error = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    gap = statistics.gradient_gap(TRUTH + error, TRUTH)
    assert_allclose(gap.squared, -4 / 12 / 25)
    assert_allclose(gap.std**2, (1 + 1 / 3) / 25)
    assert gap.bias == 0 and not gap.seen and gap.bias_se is None and gap.floor > 0


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_standard_error_is_the_spread_over_repetitions(bias):
    rng = np.random.default_rng(0)
    aside = np.array([bias, 0.0])
    drawn = TRUTH + aside + rng.normal(size=(400, 30, 2))
    found = [statistics.gradient_gap(gradients, TRUTH) for gradients in drawn]
    squared = np.array([gap.squared for gap in found])
    assert abs(squared.mean() - (bias / 5) ** 2) < 4 * squared.std() / 20
    said = np.mean([gap.squared_se for gap in found])
    assert 0.8 < said / squared.std() < 1.25


def test_slope_and_cosine():
    gradients = np.array([[6.0, 8.0], [3.0, 4.0], [6.0, 8.0], [3.0, 4.0]])
    slope, se = statistics.along(gradients, TRUTH)
    assert_allclose((slope, se), (1.5, np.std([2, 1, 2, 1], ddof=1) / 2))
    turned = np.tile([4.0, -3.0], (4, 1))
    assert_allclose(statistics.cosine(turned, TRUTH)[0], 0.0, atol=1e-12)
    assert_allclose(statistics.cosine(np.tile(2 * TRUTH, (4, 1)), TRUTH), (1.0, 0.0))


def test_advantage_gap_by_hand():
    """Three folds, two cells with biases 1 and −2, seen 2 and 1 times in each fold."""
    count = np.array([[2.0, 1.0]] * 3)
    total = np.array([[2.0, -2.0]] * 3)
    gap = statistics.advantage_gap(count, total, square=6 * 1.5 + 3 * 4.0)
    assert_allclose(gap.squared, (6 * 1 + 3 * 4) / 9)
    assert_allclose(gap.std**2, 21 / 9 - 2)


def test_advantage_gap_leaves_out_what_one_fold_alone_has_seen():
    count = np.array([[2.0, 1.0], [2.0, 0.0], [2.0, 0.0]])
    total = np.array([[2.0, 9.0], [2.0, 0.0], [2.0, 0.0]])
    assert_allclose(statistics.advantage_gap(count, total, square=90.0).squared, 1.0)
