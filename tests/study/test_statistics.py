"""Statistics of few runs against closed forms, direct counts and SciPy."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from steppo_jax.study.statistics import (
    compare,
    detectable,
    improvement,
    iqm,
    iqm_interval,
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], 3.0),
        ([1, 2, 9], 4.0),  # ⌊3/4⌋ = 0 are cut
        ([1, 2, 3, 100], 2.5),
        ([5, 1, 2, 3, 100], 10 / 3),  # one at each end
        ([0, 0, 1, 2, 3, 4, 50, 60], 2.5),  # two at each end
    ],
)
def test_interquartile_means_by_hand(values, expected):
    assert iqm(values) == pytest.approx(expected)


def test_the_bootstrap_finds_every_resample_of_a_small_sample():
    """Two strata of two: the 16 equally likely resamples can be written down."""
    strata = [[0.0, 1.0], [10.0, 14.0]]
    means = [
        iqm([*a, *b])
        for a in itertools.product(strata[0], repeat=2)
        for b in itertools.product(strata[1], repeat=2)
    ]
    found = iqm_interval(strata, level=0.5)
    expected = np.quantile(means, [0.25, 0.75], method="inverted_cdf")
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.value == iqm([0, 1, 10, 14])


def test_resampling_stays_inside_strata():
    """Whatever is drawn, half of the values are 0 and half are 1: no spread at all."""
    found = iqm_interval([[0.0] * 4, [1.0] * 4])
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    mixed = iqm_interval([[0.0] * 4 + [1.0] * 4])
    assert mixed.low < 0.2 and mixed.high > 0.8


def test_a_stratum_of_one_run_has_no_interval():
    found = iqm_interval([[0.2], [0.4, 0.6]])
    assert math.isnan(found.low) and found.value == pytest.approx(0.4)


def test_the_bootstrap_repeats():
    values = [[0.1, 0.5, 0.7, 0.9, 0.2]]
    assert iqm_interval(values) == iqm_interval(values)


def test_improvement_counts_pairs():
    x, y = [0.1, 0.5, 0.5, 0.9], [0.5, 0.2, 0.7]
    wins = sum((a > b) + (a == b) / 2 for a in x for b in y)
    assert improvement(x, y) == pytest.approx(wins / 12)
    assert improvement([1, 1], [1, 1]) == 0.5
    assert improvement([2, 3], [0, 1]) == 1


@pytest.mark.parametrize("pairs", [3, 5, 30])
def test_the_detectable_difference_has_its_power(pairs):
    std = 0.07
    shift = detectable(std, pairs) * math.sqrt(pairs) / std
    reach = scipy.stats.t.ppf(0.975, pairs - 1)
    power = scipy.stats.nct.sf(reach, pairs - 1, shift)
    power += scipy.stats.nct.cdf(-reach, pairs - 1, shift)
    assert power == pytest.approx(0.8, abs=1e-5)


def test_the_detectable_difference_of_many_pairs_is_the_normal_one():
    z = scipy.stats.norm.ppf
    expected = (z(0.975) + z(0.8)) / math.sqrt(10_000)
    assert detectable(1.0, 10_000) == pytest.approx(expected, rel=1e-3)


def test_the_detectable_difference_at_the_edges():
    assert math.isnan(detectable(0.1, 1)) and detectable(0.0, 5) == 0.0
    assert detectable(0.2, 5) == pytest.approx(2 * detectable(0.1, 5))


def test_pairs_are_matched_by_seed():
    """Shuffled seeds and one without a partner: the differences stay .1 ± .01."""
    a = {0: 0.51, 1: 0.30, 2: 0.89, 7: 0.0}
    b = {2: 0.80, 0: 0.40, 1: 0.20, 9: 1.0}
    found = compare("a", "b", a, b)
    t = scipy.stats.ttest_1samp([0.11, 0.10, 0.09], 0).confidence_interval(0.95)
    assert found.seeds == 3 and found.difference.value == pytest.approx(0.1)
    assert (found.difference.low, found.difference.high) == pytest.approx(tuple(t))
    assert found.verdict == "a is higher"
    assert compare("b", "a", b, a).verdict == "a is higher"
    assert compare("a", "b", a, {5: 1.0}) is None


def test_a_tie_is_called_a_tie_and_says_what_could_have_been_seen():
    found = compare("a", "b", {0: 0.5, 1: 0.6}, {0: 0.6, 1: 0.5})
    text = found.text(" on x")
    assert text.startswith("a − b on x: +0.000 [−")
    assert "2 paired seeds" in text and "a tie: no difference shown" in text
    assert f"smallest detectable difference {found.detectable:.3f}" in text
    alone = compare("a", "b", {0: 0.5}, {0: 0.4}).text()
    assert "nothing can be said" in alone and "nan" not in alone
