"""Intervals against numbers worked out by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from steppo_jax.intervals import (
    mean_bootstrap,
    mean_t,
    smallest_detectable,
    wilson,
)

Z = 1.959963984540054  # 97.5 % of the normal distribution


@pytest.mark.parametrize(("k", "n"), [(0, 10), (5, 10), (10, 10), (323, 512)])
def test_wilson_is_the_closed_form(k, n):
    p = k / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    found = wilson(k, n)
    assert found.value == p
    assert found.low == pytest.approx(max(centre - half, 0), abs=1e-12)
    assert found.high == pytest.approx(min(centre + half, 1), abs=1e-12)


def test_wilson_known_value():
    assert wilson(0, 10).high == pytest.approx(0.2775, abs=1e-4)


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5), (0.5, 5)])
def test_what_is_no_proportion_is_refused(k, n):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(k, n)


def test_student_interval_by_hand():
    found = mean_t([1.0, 2.0, 3.0])  # t(2 df) = 4.302653, s = 1
    half = 4.302652729911275 / math.sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx(
        (2, 2 - half, 2 + half)
    )


def test_one_value_has_a_mean_and_no_interval():
    found = mean_t([2.0])
    assert found.value == 2 and math.isnan(found.low) and math.isnan(found.high)


def test_bootstrap_repeats_and_agrees_with_the_normal_interval():
    x = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found, again = mean_bootstrap(x), mean_bootstrap(x)
    assert found == again
    half = Z * x.std(ddof=1) / math.sqrt(len(x))
    assert found.low == pytest.approx(x.mean() - half, abs=0.05)
    assert found.high == pytest.approx(x.mean() + half, abs=0.05)


def test_equal_values_have_no_width():
    found = mean_bootstrap([0.5] * 10)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_no_values_are_refused():
    for interval in (mean_t, mean_bootstrap):
        with pytest.raises(ValueError, match="needs a list"):
            interval([])


def test_text():
    assert wilson(5, 10).text() == "0.500 [0.237, 0.763]"


@pytest.mark.parametrize("number", [2, 3, 5, 30])
def test_the_smallest_detectable_mean_is_seen_in_four_of_five_trials(number):
    rng = np.random.default_rng(number)
    values = rng.normal(size=number)
    wanted = smallest_detectable(values)
    trials = rng.normal(wanted, values.std(ddof=1), (40_000, number))
    t = trials.mean(axis=1) / trials.std(axis=1, ddof=1) * math.sqrt(number)
    critical = scipy.stats.t.ppf(0.975, number - 1)
    assert np.mean(np.abs(t) > critical) == pytest.approx(0.8, abs=0.01)


def test_the_smallest_detectable_mean_of_many_values_is_the_normal_one():
    values = np.tile([-1.0, 1.0], 5000)
    wanted = (1.959964 + 0.841621) * values.std(ddof=1) / 100  # z.975 + z.8
    assert smallest_detectable(values) == pytest.approx(wanted, rel=1e-3)


def test_without_spread_anything_is_detectable_and_one_value_shows_nothing():
    assert smallest_detectable([0.25, 0.25, 0.25]) == 0
    assert math.isnan(smallest_detectable([0.2]))
