"""What every registered estimator must do, against the loops of tests/oracles."""

import dataclasses
import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import credit
from steppo_jax.credit.normalise import KINDS
from steppo_jax.parallel import Axis
from tests.oracles.credit_loops import ORACLES
from tests.oracles.ragged import LAYOUTS, episodes, lay

CAPACITY = dict(num_rows=20, num_sequences=16, length=14)  # one compile for all
# Up to 4 episodes of up to 4 steps of up to 3 tokens: any may be empty or single.
SHAPES = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=4
)
SEEDS = st.integers(0, 2**32 - 1)
BOTH = pytest.mark.parametrize("official", [False, True])
EACH = pytest.mark.parametrize("name", credit.names())


@functools.cache
def compiled(name, official):
    settings = credit.CreditSettings(**ORACLES[name][0], official=official)
    return jax.jit(lambda batch: credit.estimate(name, batch, settings))


def check(name, official, data, laid):
    """Asserts that the estimate equals the loop, and is 0 where it must be."""
    out = compiled(name, official)(laid.batch)
    options, loop = ORACLES[name]
    expected = loop(data, **options, official=official)
    is_step = credit.get(name).level == "step"
    for actual, table in zip((out.advantage, out.value_target), expected):
        assert actual.dtype == jnp.float32
        actual = np.asarray(actual)
        read = (laid.read_steps if is_step else laid.read_tokens)(actual)
        flat = (lambda x: [x]) if is_step else list
        got = np.array([v for key in table for v in flat(read[key])])
        want = np.array([v for key in table for v in flat(table[key])])
        scale = max(1.0, np.abs(want).max(initial=0.0))
        assert_allclose(got, want, rtol=0, atol=1e-5 * scale)
        keep = laid.batch.steps.valid if is_step else laid.batch.response_mask
        assert np.all(actual[~np.asarray(keep)] == 0)


def test_every_estimator_has_a_loop():
    assert set(ORACLES) == set(credit.names())


@EACH
@BOTH
@hypothesis.settings(max_examples=500, deadline=None, database=None)
@hypothesis.given(SHAPES, SEEDS, st.sampled_from(LAYOUTS))
def test_equals_the_loop_in_any_order_and_layout(name, official, shape, seed, layout):
    data = episodes(shape, seed)
    check(name, official, data, lay(data, layout, seed, **CAPACITY))


@EACH
@BOTH
@pytest.mark.parametrize(
    "shape",
    [
        [[1]],  # one token in all
        [[3]],  # one step
        [[0]],  # nothing but an empty response
        [[0, 0], [0]],
        [[2, 0, 1, 0]],  # one trajectory, empty responses inside and at its end
        [[1], [1], [1]],
    ],
)
def test_smallest_batches(name, official, shape):
    data = episodes(shape, 3)
    check(name, official, data, lay(data, "rows", 3, **CAPACITY))


@EACH
def test_more_padding_changes_nothing(name):
    data = episodes([[2, 0, 3], [1], [3, 1]], 5)
    wide = dict(num_rows=33, num_sequences=21, length=19)
    settings = credit.CreditSettings(**ORACLES[name][0])
    outs = []
    for capacity in (CAPACITY, wide):
        laid = lay(data, "merged", 5, **capacity)
        x = jax.jit(lambda b: credit.estimate(name, b, settings).advantage)(laid.batch)
        is_step = credit.get(name).level == "step"
        outs.append((laid.read_steps if is_step else laid.read_tokens)(np.asarray(x)))
    for key, x in outs[0].items():
        assert_allclose(x, outs[1][key], rtol=1e-6, atol=1e-6)


@EACH
def test_eight_devices_equal_one(name):
    data = episodes([[2, 0, 3], [1, 2], [3, 1, 1, 2], [2]], 7)
    batch = lay(data, "packed", 7, **CAPACITY).batch
    settings = credit.CreditSettings(**ORACLES[name][0])

    def body(axis, step_id, token_value, token_reward):
        here = dataclasses.replace(
            batch,
            step_id=step_id,
            token_value=token_value,
            token_reward=token_reward,
            axis=axis,
        )
        out = credit.estimate(name, here, settings)
        tables = [credit.normalise(kind, out.advantage, here) for kind in KINDS]
        tables.append(out.value_target)
        return [x if x.ndim == 2 else here.to_tokens(x) for x in tables]

    tokens = (batch.step_id, batch.token_value, batch.token_reward)
    one = jax.jit(functools.partial(body, Axis()))(*tokens)
    split = [x.reshape(8, 2, -1) for x in tokens]
    many = jax.pmap(functools.partial(body, Axis("data", 8)), axis_name="data")(*split)
    for a, b in zip(one, many):
        assert_allclose(a, b.reshape(a.shape), rtol=1e-5, atol=1e-6)
        assert np.abs(a).max() < 1e3 and np.all(np.isfinite(a))


@EACH
def test_the_rows_entry_gives_the_same(name):
    data = episodes([[2, 0, 3], [1, 2], [3, 1]], 11)
    for episode in data:  # rows hold no reward that is not on a token
        for step in episode.steps:
            step.reward = sum(step.token_reward)
    capacity = dict(num_rows=7, num_sequences=7, length=14)
    laid = lay(data, "rows", 11, shuffle=False, **capacity)
    batch, entry = laid.batch, credit.get(name)
    out = compiled(name, False)(batch)
    value_BL = batch.token_value
    if entry.critic == "step":
        value_BL = value_BL.at[:, 0].set(batch.value)
    inputs = dict(gamma=1.0, lam=1.0, value_BL=value_BL)
    if entry.critic != "none":
        cut = batch.steps.truncated
        inputs.update(truncated_B=cut, next_value_B=batch.next_value)
    inputs.update(ORACLES[name][0])
    got = credit.from_rows(
        name,
        batch.token_reward,
        batch.response_mask,
        batch.steps.traj_id,
        batch.steps.step_index,
        group_id_B=batch.steps.group_id,
        state_key_B=batch.steps.state_key,
        official=False,
        normalise="none",
        **inputs,
    )
    want = [
        x if x.ndim == 2 else batch.to_tokens(x)
        for x in (out.advantage, out.value_target)
    ]
    for a, b in zip(got, want):
        assert_allclose(a, b, rtol=1e-6, atol=1e-6)
