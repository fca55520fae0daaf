"""Step GAE by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import credit

REWARD = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
MASK = np.array([[1, 1, 1], [1, 1, 0]])
VALUE = np.array([[0.5, 9.0, 9.0], [0.2, 9.0, 9.0]])


def rows(**changes):
    arguments = dict(value_BL=VALUE, gamma=0.9, lam=0.5, normalise="none")
    arguments.update(changes)
    return credit.from_rows("step_gae", REWARD, MASK, [0, 0], [0, 1], **arguments)


@pytest.mark.parametrize("official", [True, False])
def test_two_steps_that_terminate(official):
    # δ_1 = 1 − 0.2 = 0.8; δ_0 = 0 + 0.9·0.2 − 0.5 = −0.32
    # A_1 = 0.8; A_0 = −0.32 + 0.45·0.8 = 0.04; targets 1.0 and 0.54
    advantage, target = rows(official=official)
    assert_allclose(advantage, [[0.04] * 3, [0.8, 0.8, 0]], atol=1e-6)
    assert_allclose(target, [[0.54] * 3, [1.0, 1.0, 0]], atol=1e-6)


def test_a_limit_bootstraps_from_the_true_next_state():
    # δ_1 = 1 + 0.9·2 − 0.2 = 2.6; A_0 = −0.32 + 0.45·2.6 = 0.85
    advantage, _ = rows(
        official=False,
        truncated_B=np.array([False, True]),
        next_value_B=np.array([0.0, 2.0]),
    )
    assert_allclose(advantage[:, 0], [0.85, 2.6], atol=1e-6)


def test_official_whitening_counts_steps_with_ddof_1():
    # A = (0.04, 0.8): mean 0.42, std with ddof 1 = 0.76/√2; (A − mean)/std = ∓1/√2
    advantage, target = rows(normalise="batch")
    assert_allclose(advantage[:, 0], [-(0.5**0.5), 0.5**0.5], rtol=1e-5)
    assert_allclose(target[:, 0], [0.54, 1.0], atol=1e-6)  # of the unwhitened one


def test_one_row_gives_zero_where_the_official_code_gives_nan():
    one = credit.from_rows(
        "step_gae", REWARD[1:], MASK[1:], [0], [0], value_BL=VALUE[1:]
    )
    assert_allclose(one[0], np.zeros((1, 3)))


def test_the_reward_of_an_empty_response():
    # Row 1 has no response: official loses its reward, ours keeps it.
    # official: δ_1 = 0 − 0.2, A_0 = −0.32 − 0.45·0.2 = −0.41; ours as above
    mask = np.array([[1, 1, 1], [0, 0, 0]])
    for official, expected in ((True, -0.41), (False, 0.04)):
        advantage, target = credit.from_rows(
            "step_gae",
            REWARD,
            mask,
            [0, 0],
            [0, 1],
            value_BL=VALUE,
            gamma=0.9,
            lam=0.5,
            official=official,
            normalise="none",
        )
        assert_allclose(advantage, [[expected] * 3, [0] * 3], atol=1e-6)
        assert_allclose(target[1], np.zeros(3))


def test_lam_adapts_to_the_number_of_steps():
    # VAPO: λ = 1 − 1/(α T) = ½ for α = 1 and T = 2 steps: as in the first test.
    advantage, _ = rows(lam=1.0, lam_alpha=1.0)
    assert_allclose(advantage[:, 0], [0.04, 0.8], atol=1e-6)


def test_the_rows_entry_works_inside_jit():
    def inside(reward, gamma):
        return credit.from_rows(
            "step_gae",
            reward,
            jnp.asarray(MASK),
            jnp.array([0, 0]),
            jnp.array([0, 1]),
            value_BL=jnp.asarray(VALUE),
            gamma=gamma,
            lam=0.5,
            normalise="none",
        )[0]

    advantage = jax.jit(inside)(REWARD, 0.9)
    assert_allclose(advantage[:, 0], [0.04, 0.8], atol=1e-6)
