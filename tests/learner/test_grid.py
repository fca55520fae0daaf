"""The axes that reach into the learner: coupled ratios, KL to the reference."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.learner.settings import KLSettings
from steppo_jax.objective import ObjectiveSettings
from steppo_jax.parallel import Devices
from tests import toy
from tests.learner.test_update import assert_same_step, difference


@pytest.fixture(scope="module")
def rolled():
    return toy.play()


def with_ratio(ratio: str, **changes):
    """Two epochs, so that ratios are no longer 1, with a clip that binds somewhere."""
    objective = ObjectiveSettings(ratio, 0.02, 0.02)
    return toy.learner("grpo", objective=objective, epochs=2, **changes)


@pytest.mark.parametrize("ratio", ["step_product", "step_calibrated", "trajectory"])
def test_slices_do_not_change_a_ratio_that_couples_sequences(ratio, rolled):
    state = with_ratio(ratio).init(jax.random.key(3))
    expected, wanted, _ = toy.update(with_ratio(ratio, microbatch=24), rolled, state)
    the = with_ratio(ratio, microbatch=1)
    got, metrics, _ = toy.update(the, rolled, state)
    assert_same_step(the, got, expected, state)
    for name in ("policy/ratio_mean", "policy/clip_fraction"):
        np.testing.assert_allclose(metrics[name], wanted[name], rtol=1e-4)
    assert wanted["policy/clip_fraction"] > 0
    # It is a ratio of its own: the step ratio goes elsewhere.
    other, *_ = toy.update(with_ratio("step", microbatch=24), rolled, state)
    assert difference(other.policy, expected.policy) > 1e-5


def local_tables(rolled, devices: Devices):
    """The tables as eight devices hold them: one trajectory of three rows each."""
    T = toy.ENV.max_steps
    tokens = rolled.tokens
    first = jnp.arange(24, dtype=jnp.int32) // T * T
    step_id = jnp.where(tokens.step_id < 0, -1, tokens.step_id - first[:, None])
    at = tokens.value_at.at[:, 0].add(-first)
    return devices.split((rolled.steps, tokens.replace(step_id=step_id, value_at=at)))


def test_the_calibrated_ratio_centres_over_all_devices(rolled):
    the = with_ratio("step_calibrated", minibatches=1)
    state = the.init(jax.random.key(3))
    expected, *_ = toy.update(the, rolled, state)
    devices = Devices.local(8)
    program = devices.compile(the.update)
    got, *_ = program(devices.replicate(state), *local_tables(rolled, devices))
    assert_same_step(the, devices.first(got), expected, state)


@pytest.mark.parametrize("place", ["loss", "reward"])
def test_kl_is_zero_at_first_and_then_changes_the_step(place, rolled):
    def step(coef: float):
        the = toy.learner("grpo", kl=KLSettings("k3", coef, place), minibatches=1)
        state = the.init(jax.random.key(3))
        start = state.policy
        _, metrics, _ = toy.update(the, rolled, state)
        assert metrics["policy/reference_kl"] < 1e-6
        # Moved away by hand; the reference stays where it was.
        state = state.replace(policy=shaken(start))
        after, metrics, _ = toy.update(the, rolled, state)
        assert metrics["policy/reference_kl"] > 1e-3
        same = jax.tree.map(lambda a, b: bool((a == b).all()), after.reference, start)
        assert all(jax.tree.leaves(same))
        return after.policy

    assert difference(step(1e-6), step(1.0)) > 1e-4


def shaken(tree):
    """Every parameter moved by a wave of its place."""
    return jax.tree.map(
        lambda x: x + 0.3 * jnp.sin(jnp.arange(x.size).reshape(x.shape)), tree
    )


def test_kl_in_the_loss_pulls_the_policy_back(rolled):
    """After ten updates a strong penalty leaves less KL than a negligible one."""

    def left(coef: float) -> float:
        the = toy.learner("grpo", kl=KLSettings("k3", coef, "loss"), minibatches=1)
        state = the.init(jax.random.key(3))
        state = state.replace(policy=shaken(state.policy))
        body = jax.jit(lambda *args: the.update(toy.Axis(), *args))
        for _ in range(10):
            state, metrics, _ = body(state, rolled.steps, rolled.tokens)
        return float(metrics["policy/reference_kl"])

    assert left(10.0) < 0.9 * left(1e-6)


def test_kl_in_the_loss_and_in_the_reward_differ(rolled):
    found = []
    for place in ("loss", "reward"):
        the = toy.learner("grpo", kl=KLSettings("k1", 0.5, place), minibatches=1)
        state = the.init(jax.random.key(3))
        away = jax.tree.map(lambda x: x + 0.1, state.policy)
        after, *_ = toy.update(the, rolled, state.replace(policy=away))
        found.append(after.policy)
    assert difference(*found) > 1e-5


def test_without_kl_no_reference_is_kept():
    state = toy.learner("grpo").init(jax.random.key(3))
    assert state.reference == {}
    assert dataclasses.is_dataclass(state)
