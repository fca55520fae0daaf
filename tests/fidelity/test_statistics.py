"""Fidelity scores where the truth is known."""

import numpy as np

from steppo_jax.fidelity import statistics

TASKS, STEPS = 400, 10
NOISE = 1.5  # of each half of the truth


def world(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=TASKS * STEPS)
    halves = truth[:, None] + NOISE * rng.normal(size=(TASKS * STEPS, 2))
    blurred = truth + rng.normal(size=truth.shape)
    task = np.repeat(np.arange(TASKS), STEPS)
    estimates = {
        "truth": truth,
        "blurred": blurred,
        "doubled": 2 * truth,
        "opposite": -truth,
        "nothing": np.zeros_like(truth),
        "noise": rng.normal(size=truth.shape),
    }
    return statistics.of_all(estimates, halves, task, "truth")


def near(score, expected, slack=0.01):
    assert abs(score.value - expected) < 4 * score.se + slack, (score, expected)


def test_scores_are_those_of_the_truth_not_of_its_noisy_copies():
    found = world()
    near(found["truth"].correlation, 1.0)
    near(found["truth"].error, 0.0, slack=0.15)  # √ of a number around 0
    near(found["doubled"].correlation, 1.0)
    near(found["doubled"].error, 1.0)  # |2A − A| = std A
    near(found["opposite"].correlation, -1.0)
    near(found["opposite"].error, 2.0)
    near(found["blurred"].correlation, np.sqrt(1 / 2))
    near(found["blurred"].error, 1.0)
    near(found["noise"].correlation, 0.0)
    near(found["nothing"].error, 1.0)


def test_what_noise_in_the_branches_leaves():
    # The mean of two halves has variance 1 + NOISE²/2.
    near(world()["truth"].raw, 1 / np.sqrt(1 + NOISE**2 / 2))


def test_signs_and_zeros():
    found = world()
    assert found["nothing"].sign.value == 0.5 and found["nothing"].sign.se == 0
    assert np.isnan(found["nothing"].correlation.value)
    near(found["noise"].sign, 0.5)
    assert found["truth"].sign.value > 0.8  # halves agree on a wrong sign at times
    assert abs(found["truth"].sign.value + found["opposite"].sign.value - 1) < 1e-12


def test_differences_are_paired():
    found = world()
    assert found["truth"].difference == statistics.Score(0.0, 0.0)
    assert found["doubled"].difference.se < 1e-9  # the same draws for both
    assert found["blurred"].difference.se > 1e-3


def test_standard_errors_are_over_tasks():
    """Steps of one task that repeat each other must not count as more evidence."""
    rng = np.random.default_rng(1)
    truth, x = rng.normal(size=(2, TASKS))
    halves = truth[:, None] + 0.1 * rng.normal(size=(TASKS, 2))

    def error(repeats):
        task = np.repeat(np.arange(TASKS), repeats)
        many = {"x": np.repeat(x, repeats)}
        found = statistics.of_all(many, np.repeat(halves, repeats, 0), task, "x")
        return found["x"].correlation.se

    assert abs(error(20) / error(1) - 1) < 0.01
    assert 0.5 < error(1) * np.sqrt(TASKS) < 1.5
