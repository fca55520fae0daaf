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
from tests.oracles.credit_loops import CASES, well_conditioned
from tests.oracles.ragged import LAYOUTS, episodes, lay

CAPACITY = dict(num_rows=20, num_sequences=16, length=14)  # one compile for all
# Up to 4 episodes of up to 4 steps of up to 3 tokens: any may be empty or single.
SHAPES = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=4
)
SEEDS = st.integers(0, 2**32 - 1)
RUNS = [
    (case, official)
    for case in CASES
    for official in (False, True)
    if credit.get(case[0]).has_official or not official
]


FIRST = {case[0]: case for case in CASES[::-1]}  # the first case of each estimator


def settings(case, official=False):
    return credit.CreditSettings(**case[1], official=official)


def read(name, laid, x):
    """{(episode, step): [x of the step, or of each of its tokens]}."""
    if credit.get(name).level == "step":
        return {key: [v] for key, v in laid.read_steps(x).items()}
    return laid.read_tokens(x)


@jax.jit
def estimate_all(batch):
    return [
        credit.estimate(case[0], batch, settings(case, official))
        for case, official in RUNS
    ]


def check(case, official, data, laid, out):
    """Asserts that the estimate equals the loop, and is 0 where it must be."""
    name, options, loop = case
    is_step = credit.get(name).level == "step"
    extra = dict(official=True) if official else {}
    keep = laid.batch.steps.valid if is_step else laid.batch.response_mask
    for actual, table in zip(
        (out.advantage, out.value_target), loop(data, **options, **extra)
    ):
        assert actual.dtype == jnp.float32
        actual = np.asarray(actual)
        got = read(name, laid, actual)
        got = np.array([v for key in table for v in got[key]])
        want = [table[key] if not is_step else [table[key]] for key in table]
        want = np.array([v for row in want for v in row])
        scale = max(1.0, np.abs(want).max(initial=0.0))
        message = f"{name} {options} official={official}"
        assert_allclose(got, want, rtol=0, atol=1e-5 * scale, err_msg=message)
        assert np.all(actual[~np.asarray(keep)] == 0), message


def check_all(data, laid, holes):
    clear = well_conditioned(data, gamma=0.5)
    for (case, official), out in zip(RUNS, estimate_all(laid.batch)):
        # The official REINFORCE++ is cut by holes, of which the loop knows nothing.
        if official and holes and case[0] == "reinforce_pp":
            continue
        if clear or not credit.get(case[0]).needs_groups:
            check(case, official, data, laid, out)


def test_every_estimator_has_a_loop_for_each_of_its_options():
    assert {name for name, _, _ in CASES} == set(credit.names())
    for name in credit.names():
        tried = {option for case in CASES if case[0] == name for option in case[1]}
        assert tried == set(credit.get(name).options), name


@hypothesis.settings(max_examples=1000, deadline=None, database=None)
@hypothesis.given(SHAPES, SEEDS, st.sampled_from(LAYOUTS), st.booleans())
def test_equals_the_loop_in_any_order_and_layout(shape, seed, layout, holes):
    data = episodes(shape, seed)
    check_all(data, lay(data, layout, seed, **CAPACITY, holes=holes), holes)


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
def test_smallest_batches(shape):
    data = episodes(shape, 3)
    check_all(data, lay(data, "rows", 3, **CAPACITY, holes=False), False)


def test_more_padding_changes_nothing():
    data = episodes([[2, 0, 3], [1], [3, 1]], 5)
    wide = dict(num_rows=33, num_sequences=21, length=19)
    wide = lay(data, "merged", 5, **wide)
    outs = jax.jit(
        lambda batch: [
            credit.estimate(name, batch, settings(first))
            for name, first in FIRST.items()
        ]
    )(wide.batch)
    for case, out in zip(FIRST.values(), outs):
        check(case, False, data, wide, out)


def test_eight_devices_equal_one():
    data = episodes([[2, 0, 3], [1, 2], [3, 1, 1, 2], [2]], 7)
    batch = lay(data, "packed", 7, **CAPACITY).batch

    def body(axis, step_id, token_value, token_reward):
        here = dataclasses.replace(
            batch,
            step_id=step_id,
            token_value=token_value,
            token_reward=token_reward,
            axis=axis,
        )
        out = {}
        for name, first in FIRST.items():
            x = credit.estimate(name, here, settings(first))
            out[name] = [credit.normalise(kind, x.advantage, here) for kind in KINDS]
            out[name].append(x.value_target)
        return jax.tree.map(lambda x: x if x.ndim == 2 else here.to_tokens(x), out)

    tokens = (batch.step_id, batch.token_value, batch.token_reward)
    one = jax.jit(functools.partial(body, Axis()))(*tokens)
    split = [x.reshape(8, 2, -1) for x in tokens]
    many = jax.pmap(functools.partial(body, Axis("data", 8)), axis_name="data")(*split)
    for name in credit.names():
        for a, b in zip(one[name], many[name]):
            b = b.reshape(a.shape)
            assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=name)
            assert np.all(np.isfinite(a)), name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_the_rows_entry_gives_the_same(case):
    data = episodes([[2, 0, 3], [1, 2], [3, 1]], 11)
    for episode in data:  # rows hold no reward that is not on a token
        for step in episode.steps:
            step.reward = sum(step.token_reward)
    capacity = dict(num_rows=7, num_sequences=7, length=14)
    laid = lay(data, "rows", 11, shuffle=False, **capacity)
    batch, entry = laid.batch, credit.get(case[0])
    value_BL = batch.token_value
    if entry.critic == "step":
        value_BL = value_BL.at[:, 0].set(batch.value)
    batch = batch.replace(value=value_BL[:, 0])
    out = estimate_all(batch)[RUNS.index((case, False))]
    inputs = dict(value_BL=value_BL, branch_advantage_B=batch.steps.branch_advantage)
    if entry.critic != "none":
        inputs["truncated_B"] = batch.steps.truncated
        inputs["next_value_B"] = batch.next_value
    got = credit.from_rows(
        case[0],
        batch.token_reward,
        batch.response_mask,
        batch.steps.traj_id,
        batch.steps.step_index,
        group_id_B=batch.steps.group_id,
        state_key_B=batch.steps.state_key,
        official=False,
        normalise="none",
        **inputs,
        **case[1],
    )
    want = [
        x if x.ndim == 2 else batch.to_tokens(x)
        for x in (out.advantage, out.value_target)
    ]
    for a, b in zip(got, want):
        assert_allclose(a, b, rtol=1e-6, atol=1e-6)
