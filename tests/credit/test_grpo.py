"""GRPO by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import credit

# Group 0: trajectories a (two steps, return 1) and b (return 3); group 1: c alone.
TRAJ = ["a", "b", "a", "c"]
STEP = [0, 0, 1, 0]
GROUP = [0, 0, 0, 1]
REWARD = np.array([[0.5], [3.0], [0.5], [2.0]])
MASK = np.ones((4, 1))


def advantage(reward=REWARD, **options):
    out, _ = credit.from_rows(
        "grpo", reward, MASK, TRAJ, STEP, group_id_B=GROUP, **options
    )
    return out[:, 0]


def test_official_counts_trajectories_with_ddof_1_and_keeps_singletons_raw():
    # Returns 1 and 3, not (0.5, 0.5, 3): mean 2, std √2. c: (2 − 0)/(1 + 1e-6)
    z = 1 / 2**0.5
    assert_allclose(advantage(), [-z, z, -z, 2.0], rtol=1e-5)


def test_ours_has_ddof_0_and_a_group_of_one_gives_zero():
    assert_allclose(advantage(official=False), [-1, 1, -1, 0], rtol=1e-5)


def test_dr_grpo_does_not_divide_by_the_std():
    assert_allclose(advantage(official=False, divide_by_std=False), [-1, 1, -1, 0])


@pytest.mark.parametrize("official", [True, False])
def test_equal_returns_give_exactly_zero(official):
    # In float32 0.8 + 0.1 and 0.9 differ in their last bit: they are equal returns,
    # added up in different ways, and no signal to be blown up by 1/std.
    assert np.float32(0.8) + np.float32(0.1) != np.float32(0.9)
    reward = np.array([[0.8], [0.9], [0.1], [0.9]])
    group = np.zeros(4)
    out, _ = credit.from_rows(
        "grpo", reward, MASK, TRAJ, STEP, group_id_B=group, official=official
    )
    assert np.all(np.asarray(out) == 0)
