"""REINFORCE++ by hand: across the steps of the episode, or inside the row."""

import numpy as np
from numpy.testing import assert_allclose

from steppo_jax import credit

REWARD = np.array([[1.0, 8.0, 2.0], [0.0, 4.0, 0.0]])
MASK = np.array([[1, 0, 1], [1, 1, 0]])
NO_HOLE = np.array([[1, 1, 1], [1, 1, 0]])


def returns(mask, official):
    advantage, target = credit.from_rows(
        "reinforce_pp",
        REWARD,
        mask,
        [0, 0],
        [0, 1],
        gamma=0.5,
        official=official,
        normalise="none",
    )
    assert_allclose(advantage, target)
    return np.asarray(advantage)


def test_ours_flows_across_steps_and_discounts_interactions():
    # Step 1: 4 and 4. Step 0: its tokens 1, 8, 2 undiscounted, then ½·4 = 2.
    assert_allclose(returns(NO_HOLE, False), [[13, 12, 4], [4, 4, 0]])
    # The 8 under the hole moves to the row's last token.
    assert_allclose(returns(MASK, False), [[13, 0, 12], [4, 4, 0]])


def test_official_stays_in_the_row_and_discounts_tokens():
    # 2; 8 + 1 = 9; 1 + 4.5 = 5.5.  Row 1: 4, ½·4.
    assert_allclose(returns(NO_HOLE, True), [[5.5, 9, 2], [2, 4, 0]])


def test_official_lets_nothing_flow_over_a_hole():
    # Token 0 sees neither the reward under the hole nor the one after it.
    assert_allclose(returns(MASK, True), [[1, 0, 2], [2, 4, 0]])
