"""Layouts `packed` and `merged`: the same loss and gradient as `rows`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import layout, packing
from tests import toy
from tests.learner import layouts


@pytest.fixture(scope="module")
def env():
    """A limit cuts collection: some true next states are valued too."""
    return layouts.environment(on_time_limit="bootstrap")


@pytest.fixture(scope="module")
def rolled(env):
    return layouts.played(env)


def both(method, env, rolled, kind, dtype="float32", **changes):
    """(movement in this layout, movement in rows, what each said)."""
    name, width = kind
    rows = layouts.learner(method, env, dtype, **changes)
    other = layouts.learner(method, env, dtype, layout=name, width=width, **changes)
    # Value heads are made in float32 whatever the decoder is.
    state = layouts.doubled(rows.init(jax.random.key(3)))
    wanted, *told = toy.update(rows, rolled, state)
    found, *said = toy.update(other, rolled, state)
    return *(layouts.step_of(state, x) for x in (found, wanted)), said, told


@pytest.mark.parametrize(
    ("method", "kind", "changes"),
    [("steppo", ("merged", 80), {}), ("grpo", ("packed", 60), {"epochs": 2})],
)
def test_the_gradient_is_that_of_rows(method, kind, changes, env, rolled):
    found, wanted, said, told = both(method, env, rolled, kind, **changes)
    assert layouts.apart(found, wanted) < 1e-5
    for name, value in told[0].items():
        if name != "data/padding_fraction":
            np.testing.assert_allclose(
                said[0][name], value, rtol=2e-4, atol=2e-6, err_msg=name
            )


@pytest.mark.parametrize(
    ("method", "kind", "changes"),
    [
        ("steppo", ("packed", 60), {}),
        ("ppo", ("merged", 48), {"minibatches": 1}),
        ("steppo", ("merged", 27), {"critic_coef": 0.5}),  # on the policy's trunk
    ],
)
def test_below_rounding_too(method, kind, changes, env, rolled):
    """In float64 what is left of the difference is not the arithmetic's."""
    with jax.enable_x64(True):
        wide = layouts.doubled(rolled)
        found, wanted, said, told = both(method, env, wide, kind, "float64", **changes)
        assert layouts.apart(found, wanted) < 1e-12
        for name, value in told[1].items():  # what the learner saw, place by place
            np.testing.assert_allclose(said[1][name], value, rtol=1e-9, atol=1e-12)


def chains(steps, tokens) -> int:
    """How many sequences hold a step."""
    held = layout.merged(steps, tokens).value_at[:, 0]
    return len(np.unique(np.asarray(held)[np.asarray(steps.valid)]))


def test_an_append_only_trajectory_is_one_sequence(rolled):
    steps, tokens = rolled.steps, rolled.tokens
    merged = layout.merged(steps, tokens)
    assert chains(steps, tokens) == 8 and steps.valid.sum() > 16
    # Each response token is where the model read it: after the same tokens.
    for row in np.flatnonzero(steps.valid):
        host = merged.value_at[row, 0]
        said = np.flatnonzero(tokens.step_id[row] == row)
        assert (np.flatnonzero(merged.step_id[host] == row) == said).all()
        for name in ("token", "position", "behaviour_log_prob", "policy_version"):
            mine, theirs = getattr(tokens, name)[row], getattr(merged, name)[host]
            assert (mine[said] == theirs[said]).all(), name
        upto = said[-1] + 1
        assert (tokens.token[row, :upto] == merged.token[host, :upto]).all()
    assert (merged.segment > 0)[: len(steps.valid)].any(1).sum() < 8 + 24 - 16
    assert merged.response_mask.sum() == tokens.response_mask.sum()


def test_a_rebuilt_context_falls_back_to_rows(rolled):
    # The last of four prompts shows two turns only: it does not continue the third.
    some = layouts.played(layouts.environment("last", 2, max_steps=4))
    fourth = (some.steps.valid & (some.steps.step_index == 3)).sum()
    assert fourth and chains(some.steps, some.tokens) == 8 + fourth
    # One id changed in what was fed: the chain breaks there and nowhere else.
    row = int(np.flatnonzero(rolled.steps.valid & (rolled.steps.step_index == 1))[0])
    token = rolled.tokens.token.at[row, 1].add(1)
    broken = chains(rolled.steps, rolled.tokens.replace(token=token))
    assert broken in (9, 10)  # before it, and after it where the trajectory goes on


def test_first_fit_by_hand():
    found = packing.first_fit(jnp.array([5, 4, 4, 3, 2, 2, 0]), width=8, bins=4)
    bins, places, count = (np.asarray(x).tolist() for x in found)
    assert bins[:6] == [0, 1, 1, 0, 2, 2] and count == 3
    assert places[:6] == [0, 0, 4, 5, 0, 2]


@pytest.mark.parametrize("width", [7, 15, 35])
def test_every_token_is_packed_once_and_comes_back(width):
    rng = np.random.default_rng(width)
    length = rng.integers(0, 8, 40)  # of L = 7
    packed = packing.pack(jnp.array(length), 7, width)
    source = np.asarray(packed.source)
    wanted = [s * 7 + place for s in range(40) for place in range(length[s])]
    assert sorted(source[source >= 0].tolist()) == wanted
    assert source.shape == (packing.bins_for(40, width, 7), width)
    assert (source >= 0).any(1).sum() == packed.count
    assert packed.used == len(wanted)
    table = jnp.arange(280.0).reshape(40, 7) + 1
    kept = np.where(np.arange(7)[None] < length[:, None], table, 0)
    np.testing.assert_array_equal(packed.back(packed.take(table)), kept)


@pytest.mark.parametrize("length", [[7] * 12, [4] * 12, [7, 1] * 6])
@pytest.mark.parametrize("width", [7, 13, 14, 22])
def test_the_bins_are_enough_for_the_worst_lengths(length, width):
    packed = packing.pack(jnp.array(length), 7, width)
    assert (packed.source >= 0).sum() == sum(length)
