"""Anchor states by text: equal, or similar."""

import numpy as np
import pytest

from steppo_jax import credit
from steppo_jax.credit.similarity import state_keys

TEXT = ["go to desk 1", "go to desk 2", "open drawer", "go to desk 1"]


def test_equal_texts_of_a_task_share_a_key():
    assert state_keys(TEXT, [0, 0, 0, 0]).tolist() == [0, 1, 2, 0]
    assert state_keys(TEXT, [0, 0, 0, 1]).tolist() == [0, 1, 2, 0]  # other task


def test_similar_texts_share_the_key_of_the_first():
    # 11 of 12 characters agree: ratio 2·11/24 = 0.92
    assert state_keys(TEXT, [0] * 4, threshold=0.9).tolist() == [0, 0, 1, 0]
    assert state_keys(TEXT, [0] * 4, threshold=0.95).tolist() == [0, 1, 2, 0]


def test_keys_join_steps_in_gigpo():
    reward, mask = np.array([[1.0], [3.0], [5.0], [7.0]]), np.ones((4, 1))
    keys = state_keys(TEXT, [0] * 4, threshold=0.9)
    with_key, _ = credit.from_rows(
        "gigpo",
        reward,
        mask,
        [0, 1, 2, 3],
        [0] * 4,
        group_id_B=[0] * 4,
        state_key_B=keys,
        divide_by_std=False,
        official=False,
    )
    # Trajectories minus 4; states: desks (1, 3, 7) minus 11/3, drawer alone.
    third = 11 / 3
    expected = [-3 + 1 - third, -1 + 3 - third, 1.0, 3 + 7 - third]
    np.testing.assert_allclose(with_key[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_threshold_lies_between_0_and_1(threshold):
    with pytest.raises(ValueError, match="between 0 and 1"):
        state_keys(TEXT, [0] * 4, threshold)


def test_lengths_agree():
    with pytest.raises(ValueError, match="4 observations, 3 groups"):
        state_keys(TEXT, [0] * 3)
