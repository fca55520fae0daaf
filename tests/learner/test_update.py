"""The update: what it computes, and everything that must not change it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.learner import minibatches
from steppo_jax.parallel import Devices
from steppo_jax.structs import Tokens
from tests import toy

METHODS = list(toy.GRID)


@pytest.fixture(scope="module")
def rolled():
    """Rewards that differ between steps, so that every estimator has work to do."""
    played = toy.play()
    noise = jax.random.normal(jax.random.key(5), played.steps.reward.shape)
    reward = jnp.where(played.steps.valid, played.steps.reward + 0.3 * noise, 0.0)
    return played.replace(steps=played.steps.replace(reward=reward))


def difference(a, b) -> float:
    """‖a − b‖ / ‖b‖ over all parameters."""
    flat = [jnp.concatenate([x.ravel() for x in jax.tree.leaves(t)]) for t in (a, b)]
    return float(jnp.linalg.norm(flat[0] - flat[1]) / jnp.linalg.norm(flat[1]))


def moved(before, after):
    return jax.tree.map(jnp.subtract, after, before)


def assert_same_step(the, changed, expected, state, tolerance=1e-4):
    """Both updates moved the parameters alike (compared as movements)."""
    for name in ("policy", "critic") if the.critic is not None else ("policy",):
        start = getattr(state, name)
        one, two = (moved(start, getattr(x, name)) for x in (changed, expected))
        assert difference(one, two) < tolerance, name


@pytest.mark.parametrize("method", METHODS)
def test_it_moves_and_counts(method, rolled):
    the = toy.learner(method, epochs=2)
    state = the.init(jax.random.key(3))
    after, metrics, seen = toy.update(the, rolled, state)
    assert int(after.num_updates) == 2 * 2 and int(after.iteration) == 1
    assert difference(after.policy, state.policy) > 1e-3
    assert metrics["data/steps"] == rolled.steps.valid.sum()
    assert metrics["data/tokens"] == rolled.tokens.response_mask.sum()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((after.policy, metrics)))
    assert seen["advantage"].shape == rolled.steps.reward.shape
    if method != "grpo":
        assert difference(after.critic, state.critic) > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_slices_do_not_change_it(method, rolled):
    state = toy.learner(method).init(jax.random.key(3))
    whole = toy.learner(method, microbatch=24)
    expected, *_ = toy.update(whole, rolled, state)
    for size in (1, 5):
        the = toy.learner(method, microbatch=size)
        got, *_ = toy.update(the, rolled, state)
        assert_same_step(the, got, expected, state)


def shuffled_sequences(tokens: Tokens, order) -> Tokens:
    """The same sequences in another order, with the addresses that follow."""
    place = jnp.argsort(order)
    per_sequence = {
        name: getattr(tokens, name)[order]
        for name in (
            "token",
            "position",
            "segment",
            "step_id",
            "behaviour_log_prob",
            "policy_version",
        )
    }
    at = tokens.value_at.at[:, 0].set(place[tokens.value_at[:, 0]])
    return tokens.replace(value_at=at, **per_sequence)


def packed(tokens: Tokens) -> Tokens:
    """Two rows per sequence, kept apart by segments: half as many, twice as long."""
    S, L = tokens.token.shape

    def pair(x):
        return jnp.concatenate([x[0::2], x[1::2]], axis=1)

    second = jnp.arange(S) % 2
    sequence, place = tokens.value_at[:, 0], tokens.value_at[:, 1]
    return Tokens(
        token=pair(tokens.token),
        position=pair(tokens.position),
        segment=pair(tokens.segment * (1 + second[:, None])),
        step_id=pair(tokens.step_id),
        behaviour_log_prob=pair(tokens.behaviour_log_prob),
        policy_version=pair(tokens.policy_version),
        value_at=jnp.stack([sequence // 2, place + L * second], axis=1),
        next_value_at=tokens.next_value_at,
        prompt_columns=2 * L,
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_layout_does_not_change_it(method, rolled):
    """Sequences in another order, and two rows to a sequence."""
    the = toy.learner(method)
    state = the.init(jax.random.key(3))
    expected, *_ = toy.update(the, rolled, state)
    S = rolled.tokens.token.shape[0]
    order = jax.random.permutation(jax.random.key(1), S)
    tokens = shuffled_sequences(rolled.tokens, order)
    got, *_ = toy.update(the, rolled.replace(tokens=tokens), state)
    assert_same_step(the, got, expected, state)
    # Rows of two trajectories may share a packed sequence: one minibatch for both.
    one = toy.learner(method, minibatches=1)
    expected, *_ = toy.update(one, rolled, state)
    got, *_ = toy.update(one, rolled.replace(tokens=packed(rolled.tokens)), state)
    assert_same_step(one, got, expected, state)


def test_what_stands_under_padding_does_not_matter(rolled):
    the = toy.learner("ppo")
    state = the.init(jax.random.key(3))
    expected, *_ = toy.update(the, rolled, state)
    empty = rolled.tokens.segment == 0
    tokens = rolled.tokens.replace(
        token=jnp.where(empty, 5, rolled.tokens.token),
        behaviour_log_prob=jnp.where(empty, jnp.nan, rolled.tokens.behaviour_log_prob),
    )
    steps = rolled.steps
    steps = steps.replace(reward=jnp.where(steps.valid, steps.reward, jnp.nan))
    got, metrics, _ = toy.update(the, rolled.replace(tokens=tokens, steps=steps), state)
    assert_same_step(the, got, expected, state, tolerance=1e-7)
    assert np.isfinite(metrics["policy/sampler_gap_max"])


@pytest.mark.parametrize("method", METHODS)
def test_eight_devices_are_one(method, rolled):
    """8 trajectories on 8 forced CPU devices; groups of 4 lie across devices."""
    the = toy.learner(method, minibatches=1)
    state = the.init(jax.random.key(3))
    expected, wanted, _ = toy.update(the, rolled, state)
    devices = Devices.local(8)
    T = toy.ENV.max_steps
    tokens = rolled.tokens
    here = jnp.arange(24, dtype=jnp.int32) // T * T  # first row of its device
    local = tokens.replace(
        step_id=jnp.where(tokens.step_id < 0, -1, tokens.step_id - here[:, None]),
        value_at=tokens.value_at.at[:, 0].add(-here),
    )
    steps, local = devices.split((rolled.steps, local))
    program = devices.compile(the.update, donate=(0,))
    got, metrics, _ = program(devices.replicate(state), steps, local)
    assert_same_step(the, devices.first(got), expected, state)
    for name, value in wanted.items():
        np.testing.assert_allclose(
            metrics[name], np.full(8, value), rtol=2e-4, atol=1e-5, err_msg=name
        )


def test_two_devices_deal_the_same_minibatches():
    key = jax.random.key(0)
    whole = minibatches.assign(key, jnp.int32(0), 16, 4)
    halves = [minibatches.assign(key, jnp.int32(f), 8, 4) for f in (0, 8)]
    np.testing.assert_array_equal(jnp.concatenate(halves), whole)
    # Every run of four neighbours meets every minibatch once.
    for run in np.asarray(whole).reshape(4, 4):
        assert sorted(run) == [0, 1, 2, 3]
    assert len({tuple(run) for run in np.asarray(whole).reshape(4, 4)}) > 1


def test_minibatches_must_divide():
    with pytest.raises(ValueError, match="6 trajectories"):
        minibatches.assign(jax.random.key(0), jnp.int32(0), 6, 4)


def test_the_policy_rests_while_the_critic_warms_up(rolled):
    the = toy.learner("steppo", critic_warmup=1)
    state = the.init(jax.random.key(3))
    one, *_ = toy.update(the, rolled, state)
    assert difference(one.policy, state.policy) == 0
    assert difference(one.critic, state.critic) > 1e-3
    assert int(one.num_updates) == 0
    two, *_ = toy.update(the, rolled, one)
    assert difference(two.policy, state.policy) > 1e-3
    assert int(two.num_updates) == 2


def test_a_longer_limit_bootstraps_and_a_terminal_one_does_not():
    """Value targets of the last step: r, or r + γ V(true next state)."""
    import dataclasses

    env = dataclasses.replace(toy.ENV, on_time_limit="bootstrap")
    the = toy.learner("steppo", minibatches=1)
    state = the.init(jax.random.key(3))
    bump = jax.tree.map(lambda x: x + 0.1, state.critic)
    state = state.replace(critic=bump)

    def targets(env):
        rolled = toy.play(env)
        _, metrics, seen = toy.update(the, rolled, state)
        return np.asarray(rolled.steps.truncated), metrics, seen

    cut, terminal, one = targets(toy.ENV)
    _, bootstrap, two = targets(env)
    assert cut.any()
    assert abs(terminal["critic/target_mean"] - bootstrap["critic/target_mean"]) > 1e-3
    assert (np.asarray(one["value"]) == np.asarray(two["value"])).all()


def test_the_second_call_does_not_compile(rolled, capfd):
    the = toy.learner("steppo")
    devices = Devices.local(1)
    program = devices.compile(the.update, donate=(0,))
    state, *_ = program(
        devices.replicate(the.init(jax.random.key(3))), rolled.steps, rolled.tokens
    )
    with jax.log_compiles():
        fewer = rolled.steps.replace(
            valid=rolled.steps.valid & (rolled.steps.traj_id < 5)
        )
        program(state, fewer, rolled.tokens)
    assert "Compiling" not in capfd.readouterr().err
