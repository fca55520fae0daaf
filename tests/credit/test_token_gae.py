"""Token GAE by hand."""

import numpy as np
from numpy.testing import assert_allclose

from steppo_jax import credit

# Two steps; the first has a hole (a tool's token with reward and value of its own).
REWARD = np.array([[0.0, 7.0, 0.0], [1.0, 0.0, 0.0]])
MASK = np.array([[1, 0, 1], [1, 0, 0]])
VALUE = np.array([[0.5, 9.0, 0.4], [0.2, 9.0, 9.0]])


def rows(mask=MASK, reward=REWARD, **changes):
    arguments = dict(value_BL=VALUE, gamma=0.9, lam=0.5, normalise="none")
    arguments.update(changes)
    return credit.from_rows("token_gae", reward, mask, [0, 0], [0, 1], **arguments)


def test_holes_do_not_advance_the_recursion():
    # Tokens in order: V = 0.5, 0.4, 0.2 and r = 0, 0, 1.
    # A_2 = 1 − 0.2 = 0.8
    # A_1 = 0.9·0.2 − 0.4 + 0.45·0.8 = 0.14
    # A_0 = 0.9·0.4 − 0.5 + 0.45·0.14 = −0.077
    advantage, target = rows()
    assert_allclose(advantage, [[-0.077, 0, 0.14], [0.8, 0, 0]], atol=1e-6)
    assert_allclose(target, [[0.423, 0, 0.54], [1.0, 0, 0]], atol=1e-6)


def test_reward_outside_the_mask_moves_to_the_last_response_token():
    # Ours: the 7 under the hole counts at the last token of its row:
    # A_1 = 0.14 + 7, A_0 = −0.14 + 0.45·7.14 = 3.073
    advantage, _ = rows(official=False)
    assert_allclose(advantage, [[3.073, 0, 7.14], [0.8, 0, 0]], atol=1e-5)


def test_a_limit_bootstraps_from_the_true_next_state():
    # A_2 = 1 + 0.9·2 − 0.2 = 2.6; A_1 = −0.22 + 0.45·2.6 = 0.95
    advantage, _ = rows(
        reward=np.where(MASK == 1, REWARD, 0),
        official=False,
        truncated_B=np.array([False, True]),
        next_value_B=np.array([0.0, 2.0]),
    )
    assert_allclose(advantage[1, 0], 2.6, atol=1e-6)
    assert_allclose(advantage[0, 2], 0.95, atol=1e-6)


def test_a_step_without_tokens_hands_its_reward_back():
    # Second step silent. Official: A of the last token = −0.4, reward lost.
    # Ours: −0.4 + 1 (+7 of the hole).
    mask = np.array([[1, 0, 1], [0, 0, 0]])
    official, _ = rows(mask=mask)
    ours, _ = rows(mask=mask, official=False)
    assert_allclose(official[0, 2], -0.4, atol=1e-6)
    assert_allclose(ours[0, 2], 7.6, atol=1e-6)
    assert_allclose(ours[1], np.zeros(3))
