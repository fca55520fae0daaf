"""A minibatch with a number that is not finite moves nothing, and is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.learner import minibatches
from tests import toy

TRAJECTORY = 5


@pytest.fixture(scope="module")
def rolled():
    played = toy.play()
    noise = jax.random.normal(jax.random.key(5), played.steps.reward.shape)
    reward = jnp.where(played.steps.valid, played.steps.reward + 0.3 * noise, 0.0)
    return played.replace(steps=played.steps.replace(reward=reward))


def with_reward(rolled, value, of=TRAJECTORY):
    """One bad reward, at the start of a trajectory."""
    steps = rolled.steps
    there = steps.valid & (steps.traj_id == of) & (steps.step_index == 0)
    return rolled.replace(
        steps=steps.replace(reward=jnp.where(there, value, steps.reward))
    )


def alone(**changes):
    """A learner whose advantages do not mix trajectories, so neither do bad numbers."""
    shared = {"critic_coef": 0.5} if changes.pop("shared", False) else {}
    return toy.learner("steppo", normalise="none", **changes, **shared)


def same_bits(a, b) -> bool:
    return all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b))
    )


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_only_the_bad_minibatch_is_left_out(rolled, value, shared):
    the = alone(shared=shared)
    state = the.init(jax.random.key(3))
    after, metrics, seen = toy.update(the, with_reward(rolled, value), state)
    key = jax.random.fold_in(jax.random.fold_in(_deal_key(state), 0), 0)
    of_N = np.asarray(minibatches.assign(key, jnp.int32(0), 8, 2))
    bad = of_N[TRAJECTORY]
    np.testing.assert_array_equal(seen["skipped"], np.arange(2) == bad)
    assert metrics["policy/skipped"] == metrics["critic/skipped"] == 1
    traj_B, valid_B = np.asarray(rolled.steps.traj_id), np.asarray(rolled.steps.valid)
    np.testing.assert_array_equal(seen["suspect"], valid_B & (of_N[traj_B] == bad))
    assert int(after.num_updates) == 1
    params = (after.policy, after.critic, after.policy_opt, after.critic_opt)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))
    assert not same_bits(after.policy, state.policy)
    assert not same_bits(after.critic, state.critic)


def _deal_key(state):
    from steppo_jax import draws

    return draws.key_of(state.key, "deal")


@pytest.mark.parametrize("method", ["steppo", "grpo"])
def test_nothing_moves_where_every_minibatch_is_bad(rolled, method):
    """Down to the optimizers' moments and counters."""
    the = toy.learner(method, epochs=2)
    state = the.init(jax.random.key(3))
    bad = rolled
    for trajectory in range(8):
        bad = with_reward(bad, np.nan, of=trajectory)
    after, metrics, seen = toy.update(the, bad, state)
    assert np.asarray(seen["skipped"]).all() and seen["skipped"].shape == (4,)
    assert metrics["policy/skipped"] == 4 and np.isnan(metrics["policy/loss"])
    assert int(after.iteration) == 1
    for name in ("policy", "policy_opt", "critic", "critic_opt", "num_updates"):
        assert same_bits(getattr(after, name), getattr(state, name)), name


def test_the_critic_learns_on_where_only_the_policy_is_left_out(rolled):
    """Each network has its own loss; a log-prob does not reach the critic."""
    the = alone()
    state = the.init(jax.random.key(3))
    broken = jax.tree.map(lambda x: x * jnp.inf, state.policy["params"]["head"])
    policy = {"params": state.policy["params"] | {"head": broken}}
    after, metrics, _ = toy.update(the, rolled, state.replace(policy=policy))
    assert metrics["policy/skipped"] == 2 and metrics["critic/skipped"] == 0
    assert int(after.num_updates) == 0
    assert not same_bits(after.critic, state.critic)


def test_idle_guards_report_nothing(rolled):
    _, metrics, seen = toy.update(alone(), rolled)
    assert metrics["policy/skipped"] == metrics["critic/skipped"] == 0
    assert not seen["skipped"].any() and not seen["suspect"].any()
