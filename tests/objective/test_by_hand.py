"""Ratio, clip, dual clip, KL and weights by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import objective

LOG2 = math.log(2.0)
ONE = np.ones((1, 1))


def single(log_ratio, advantage, ratio="token", **options):
    """Loss and gradient of one token."""
    options = {"clip_low": 0.2, "clip_high": 0.3, **options}
    loss, grad = objective.from_rows(
        ratio, log_ratio * ONE, 0 * ONE, advantage * ONE, ONE, **options
    )
    return float(loss), float(grad[0, 0])


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "loss", "grad"),
    [
        (0.0, 3.0, -3.0, -3.0),  # on-policy: −A, and the policy gradient
        (LOG2, 3.0, -3.9, 0.0),  # ρ = 2 > 1.3 and A > 0: −1.3·3, no gradient
        (-LOG2, 3.0, -1.5, -1.5),  # ρ = ½ and A > 0: not clipped, −½·3
        (-LOG2, -3.0, 2.4, 0.0),  # ρ = ½ < 0.8 and A < 0: 0.8·3, no gradient
        (LOG2, -3.0, 6.0, 6.0),  # ρ = 2 and A < 0: not clipped, 2·3
    ],
)
@pytest.mark.parametrize("ratio", ["token", "step", "step_product", "step_calibrated"])
def test_clip(ratio, log_ratio, advantage, loss, grad):
    got = single(log_ratio, advantage, ratio)
    assert_allclose(got, (loss, grad), rtol=1e-6, atol=1e-6)


def test_dual_clip_bounds_the_loss_of_negative_advantages():
    # ρ = 4, A = −3: 12 without, c·3 = 6 with c = 2, and then no gradient
    assert_allclose(single(2 * LOG2, -3.0), (12.0, 12.0), rtol=1e-6)
    assert_allclose(single(2 * LOG2, -3.0, dual_clip=2.0), (6.0, 0.0), rtol=1e-6)
    assert_allclose(single(-LOG2, 3.0, dual_clip=2.0), (-1.5, -1.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "value", "grad"),
    [  # d = log 2
        ("k1", LOG2, 1.0),
        ("k2", LOG2**2 / 2, LOG2),
        ("k3", 0.5 - 1 + LOG2, 1 - 0.5),  # e^{−d} − 1 + d and its slope 1 − e^{−d}
    ],
)
def test_kl_as_a_loss(kind, value, grad):
    got = single(0.0, 0.0, kl=kind, kl_coef=0.1, ref_log_prob_BL=np.full((1, 1), -LOG2))
    assert_allclose(got, (0.1 * value, 0.1 * grad), rtol=1e-5)


def test_kl_in_the_reward_touches_response_tokens_only():
    reward = objective.kl_in_reward(
        jnp.array([[1.0, 1.0]]),
        jnp.array([[LOG2, jnp.nan]]),
        jnp.zeros((1, 2)),
        jnp.array([[True, False]]),
        kind="k1",
        coef=0.5,
    )
    assert_allclose(reward, [[1 - 0.5 * LOG2, 1.0]], rtol=1e-6)


def test_step_ratio_is_a_geometric_mean_with_a_gradient_per_token():
    # z = (log 4, 0): ρ = 2; A differs by token. The clip [0, 3] does not bind.
    # loss = −(2·1 + 2·3)/2; token i has gradient −ρ A_i / n
    loss, grad = objective.from_rows(
        "step",
        np.array([[2 * LOG2, 0.0]]),
        np.zeros((1, 2)),
        np.array([[1.0, 3.0]]),
        np.ones((1, 2)),
        clip_low=1.0,
        clip_high=2.0,
    )
    assert_allclose(loss, -4.0, rtol=1e-6)
    assert_allclose(grad, [[-1.0, -3.0]], rtol=1e-6)


def test_log_ratios_are_cut_as_in_the_official_code():
    # token: at ±20; step: at 10 from above. No gradient beyond.
    wide = dict(clip_low=1.0, clip_high=1e30)
    loss, grad = single(25.0, -1.0, **wide)
    assert_allclose((loss, grad), (math.exp(20), 0.0), rtol=1e-5)
    loss, grad = single(15.0, -1.0, "step", **wide)
    assert_allclose((loss, grad), (math.exp(10), 0.0), rtol=1e-5)


# Steps 0, 1 of trajectory 0 with 1 and 3 tokens; 2 of trajectory 1 with 2 tokens;
# 3 of trajectory 1 has none. Group 0 is trajectory 0, group 1 is trajectories 1, 2;
# step 4 of trajectory 2 has one token. Loss of each token is −A (ρ = 1).
LOSS = np.array([[1, 0, 0], [2, 3, 7], [5, 5, 0], [0, 0, 0], [8, 0, 0.0]])
MASK = np.array([[1, 0, 0], [1, 1, 1], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
TRAJ, GROUP = [0, 0, 1, 1, 2], [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("token", (1 + 12 + 10 + 8) / 7),
        ("step", (1 + 4 + 5 + 8) / 4),
        ("step_sum", (1 + 12 + 10 + 8) / 4),
        ("trajectory", (2.5 + 5 + 8) / 3),
        ("group", (2.5 + 6.5) / 2),
        ("constant", (13 / 10 + 10 / 10 + 8 / 10) / 3),
    ],
)
def test_aggregates(aggregate, expected):
    loss, _ = objective.from_rows(
        "token",
        np.zeros((5, 3)),
        np.zeros((5, 3)),
        -LOSS,
        MASK,
        clip_low=0.2,
        clip_high=0.2,
        aggregate=aggregate,
        constant=10.0 if aggregate == "constant" else None,
        traj_id_B=TRAJ,
        group_id_B=GROUP,
    )
    assert_allclose(loss, expected, rtol=1e-6)


def test_diagnostics_by_hand():
    # Tokens with ρ = 2, ½, 1 and A = 1: the first is clipped. Counts 1, 1, 2.
    log_prob = jnp.array([[LOG2, -LOG2, 0.0, jnp.nan]])
    step_id = jnp.array([[0, 0, 1, -1]])
    count = jnp.array([[1.0, 1.0, 2.0, jnp.nan]])
    out = objective.policy_loss(
        log_prob,
        jnp.zeros((1, 4)),
        jnp.ones((1, 4)),
        step_id,
        count,
        count,
        objective.ObjectiveSettings("token", 0.2, 0.2, entropy_coef=0.5),
        2,
        entropy_SL=jnp.full((1, 4), 3.0),
    )
    mean = {name: float(s / n) for name, (s, n) in out.diagnostics.items()}
    assert float(out.count) == 4
    # −1.2 − 0.5 − 2·1, minus 0.5 · 3 · 4
    assert_allclose(out.loss, -3.7 - 6.0, rtol=1e-6)
    assert_allclose(mean["ratio"], (2 + 0.5 + 2) / 4, rtol=1e-6)
    assert_allclose(mean["clip_fraction"], 1 / 4)
    assert_allclose(mean["entropy"], 3.0)
    # k3 of new/old: (2 − 1 − log 2) + (½ − 1 + log 2) = ½
    assert_allclose(mean["approx_kl"], 0.5 / 4, rtol=1e-5)
    assert_allclose(out.maxima["ratio_max"], 2.0, rtol=1e-6)


def test_value_loss_and_its_clip():
    # V = 2, V_old = 1, R = 4, c = ½: V_clip = 1.5; ½·max(4, 6.25), no gradient.
    # V = 2, V_old = 1, R = 0, c = ½: ½·max(4, 2.25), gradient V − R = 2.
    value, old = jnp.array([2.0, 2.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0])
    target = jnp.array([4.0, 0.0, 0.0])
    mask, one = jnp.array([True, True, False]), jnp.ones(3)

    def total(v, clip=0.5):
        out = objective.value_loss(v, old, target, mask, one, one, clip)
        return out.loss, out

    (loss, out), grad = jax.value_and_grad(total, has_aux=True)(value)
    assert_allclose(loss, 3.125 + 2.0)
    assert_allclose(out.count, 2.0)
    assert_allclose(grad, [0.0, 2.0, 0.0])
    assert_allclose(out.diagnostics["value_clip_fraction"][0], 1.0)
    assert_allclose(total(value, None)[0], 2.0 + 2.0)


def test_explained_variance():
    target, mask = jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])
    assert objective.explained_variance(target, target, mask) == 1.0
    # Var of target 1; of target − value (1, 3) − (2, 3) = (−1, 0): ¼
    value = jnp.array([2.0, 3.0, 9.0])
    assert_allclose(objective.explained_variance(value, target, mask), 0.75)
    assert objective.explained_variance(value, jnp.ones(3), mask) == 0.0
