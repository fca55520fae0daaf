"""Bi-level GAE by hand, and what it equals."""

import jax
import numpy as np
from numpy.testing import assert_allclose

from steppo_jax import credit
from tests.oracles.ragged import episodes, lay

REWARD = np.array([[0.0, 1.0], [0.0, 2.0]])
VALUE = np.array([[0.5, 0.4], [0.3, 0.2]])


def test_two_levels_by_hand():
    # γ = 0.5 per step, κ = 0.9 per token, λ = 0.8.
    # outer, at last tokens: A_1 = 2 − 0.2 = 1.8
    #   A_0 = 1 + 0.5·0.2 − 0.4 + 0.4·1.8 = 1.42
    # inner: 0.9·0.2 − 0.3 + 0.72·1.8 = 1.176;  0.9·0.4 − 0.5 + 0.72·1.42 = 0.8824
    advantage, target = credit.from_rows(
        "bi_level_gae",
        REWARD,
        np.ones((2, 2)),
        [0, 0],
        [0, 1],
        value_BL=VALUE,
        gamma=0.5,
        lam=0.8,
        token_gamma=0.9,
        official=False,
        normalise="none",
    )
    assert_allclose(advantage, [[0.8824, 1.42], [1.176, 1.8]], rtol=1e-5)
    assert_allclose(target, advantage + VALUE, rtol=1e-5)


def test_equals_token_gae_without_discount_for_any_rewards():
    # Rewards on every token, silent steps, truncation: the batch has them all.
    data = episodes([[2, 0, 3], [1, 2], [3, 1, 1, 2], [0]], 4)
    size = dict(num_rows=20, num_sequences=16, length=14)
    batch = lay(data, "merged", 0, **size).batch
    settings = credit.CreditSettings(gamma=1.0, lam=1.0)
    outer, token = (
        jax.jit(lambda b, name=name: credit.estimate(name, b, settings).advantage)(
            batch
        )
        for name in ("bi_level_gae", "token_gae")
    )
    assert_allclose(outer, token, rtol=1e-5, atol=1e-5)
