"""RLOO, REINFORCE++-baseline, GiGPO and LightningRL by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import credit

# Task 0: trajectory a with steps 0, 1 (return 1) and b with step 0 (return 4), and
# c with step 0 (return 1); task 1: d alone (return 2).
TRAJ = ["a", "b", "a", "c", "d"]
STEP = [0, 0, 1, 0, 0]
GROUP = [0, 0, 0, 0, 1]
REWARD = np.array([[0.0], [4.0], [1.0], [1.0], [2.0]])
MASK = np.ones((5, 1))


def advantage(name, official=False, normalise="none", **options):
    out, _ = credit.from_rows(
        name,
        REWARD,
        MASK,
        TRAJ,
        STEP,
        group_id_B=GROUP,
        official=official,
        normalise=normalise,
        **options,
    )
    return out[:, 0]


@pytest.mark.parametrize(("official", "alone"), [(False, 0.0), (True, 2.0)])
def test_rloo_leaves_one_out(official, alone):
    # a: 1 − (4 + 1)/2 = −1.5 on both steps; b: 4 − 1 = 3; c: −1.5
    expected = [-1.5, 3, -1.5, -1.5, alone]
    assert_allclose(advantage("rloo", official), expected, rtol=1e-6)


@pytest.mark.parametrize(("official", "alone"), [(False, 0.0), (True, 2.0)])
def test_reinforce_pp_baseline_subtracts_the_mean(official, alone):
    got = advantage("reinforce_pp_baseline", official)
    assert_allclose(got, [-1, 2, -1, -1, alone], rtol=1e-6)


def test_reinforce_pp_baseline_is_usually_whitened_over_tokens():
    # x = −1, 2, −1, −1, 0: mean −0.2, Σ(x − mean)² = 7 − 5·0.04 = 6.8, ddof 0
    got = advantage("reinforce_pp_baseline", normalise="token_batch")
    x = np.array([-1, 2, -1, -1, 0])
    assert_allclose(got, (x + 0.2) / (6.8 / 5) ** 0.5, rtol=1e-5)


def test_lightning_rl_counts_a_trajectory_once_per_step():
    # Steps of task 0 have returns 1, 4, 1, 1: mean 1.75, though trajectories have 2.
    got = advantage("trajectory_return", divide_by_std=False)
    assert_allclose(got, [-0.75, 2.25, -0.75, -0.75, 0], rtol=1e-6)
    # Var = (3·0.5625 + 5.0625)/4 = 1.6875
    got = advantage("trajectory_return")
    assert_allclose(got[1], 2.25 / (1.6875**0.5 + 1e-6), rtol=1e-5)


KEYS = ["x", "x", "y", "y", "x"]


@pytest.mark.parametrize(("official", "alone"), [(False, 0.0), (True, 2.0)])
def test_gigpo_compares_steps_that_start_from_one_state(official, alone):
    # Without std. Trajectories: −1, 2, −1, −1. Discounted returns with γ = ½:
    # a_0 = ½, b_0 = 4, a_1 = 1, c_0 = 1.  State x of task 0: a_0, b_0, mean 2.25;
    # state y: a_1, c_0, mean 1.  d is alone in state x of task 1.  ω = 2.
    got = advantage(
        "gigpo",
        official,
        state_key_B=KEYS,
        gamma=0.5,
        divide_by_std=False,
        step_weight=2.0,
    )
    expected = [-1 - 2 * 1.75, 2 + 2 * 1.75, -1, -1, alone]
    assert_allclose(got, expected, rtol=1e-6)


def test_gigpo_divides_by_the_std_of_each_group():
    # Trajectories 1, 4, 1: mean 2, ddof-0 std √2; state x: ½, 4, std 1.75.
    got = advantage("gigpo", state_key_B=KEYS, gamma=0.5)
    root = 2**0.5
    assert_allclose(got, [-1 / root - 1, root + 1, -1 / root, -1 / root, 0], rtol=1e-5)


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("name", ["rloo", "reinforce_pp_baseline", "gigpo"])
def test_equal_returns_give_exactly_zero(name, official):
    # In float32 0.8 + 0.1 and 0.9 differ in their last bit.
    reward = np.array([[0.8], [0.9], [0.1], [0.9]])
    keys = dict(state_key_B=[0, 0, 1, 0], gamma=1.0) if name == "gigpo" else {}
    out, _ = credit.from_rows(
        name,
        reward,
        np.ones((4, 1)),
        ["a", "b", "a", "c"],
        [0, 0, 1, 0],
        group_id_B=np.zeros(4),
        official=official,
        **keys,
    )
    assert np.all(np.asarray(out) == 0)
