"""Maps of the tokens of a step: both programs for them, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from steppo_jax.credit import carry
from steppo_jax.credit.rows import RowBatch
from tests.oracles.ragged import episodes, lay


def test_later_maps_by_hand():
    # Two steps in one sequence: places 0, 1, 3 (2 is a hole) and 4.
    # After 3: identity. After 1: (a_3, b_3). After 0: b_1 + a_1 (b_3 + a_3 y).
    a = jnp.array([[2.0, 3.0, 1.0, 5.0, 7.0]])
    b = jnp.array([[10.0, 20.0, 0.0, 30.0, 40.0]])
    last = jnp.array([[False, False, False, True, True]])
    real = np.array([0, 1, 3, 4])
    for program in (carry.later_maps_in_turn, carry.later_maps_in_parallel):
        after_a, after_b = jax.jit(program)(a, b, last)
        assert np.asarray(after_a)[0, real].tolist() == [15, 5, 1, 1]
        assert np.asarray(after_b)[0, real].tolist() == [20 + 3 * 30, 30, 0, 0]


def test_the_programs_for_cpu_and_for_accelerators_agree():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.5, 1, (2, 3, 40)).astype(np.float32)
    last = jnp.asarray(rng.random((3, 40)) < 0.1)
    one, other = (
        jax.jit(program)(a, b, last)
        for program in (carry.later_maps_in_turn, carry.later_maps_in_parallel)
    )
    # Beyond the last token of a sequence nothing is asked for.
    before_end = np.asarray(jnp.cumsum(last[:, ::-1], 1)[:, ::-1] > 0)
    for x, y in zip(one, other):
        assert_allclose(np.asarray(x)[before_end], np.asarray(y)[before_end], rtol=1e-5)


def test_first_and_last_tokens():
    data = episodes([[2, 0, 3], [1]], 0)
    size = dict(num_rows=5, num_sequences=4, length=9)
    for layout in ("rows", "packed", "merged"):
        laid = lay(data, layout, 1, **size)
        first, last = (np.asarray(x) for x in laid.batch.first_and_last_tokens())
        ends = [p for p in laid.place.values() if p]
        assert {tuple(x) for x in np.argwhere(first)} == {p[0] for p in ends}
        assert {tuple(x) for x in np.argwhere(last)} == {p[-1] for p in ends}


def test_a_batch_of_rows_gives_what_the_general_one_gives():
    data = episodes([[2, 0, 3], [1]], 0)
    size = dict(num_rows=4, num_sequences=4, length=9, shuffle=False)
    batch = lay(data, "rows", 1, **size).batch
    names = ("steps", "value", "next_value", "step_id", "token_value", "token_reward")
    rows = RowBatch(**{name: getattr(batch, name) for name in names})
    x = jnp.arange(4.0)
    assert_allclose(rows.to_tokens(x), batch.to_tokens(x))
    assert_allclose(rows.per_step(batch.token_value), batch.per_step(batch.token_value))
    pairs = zip(rows.first_and_last_tokens(), batch.first_and_last_tokens())
    for ours, general in pairs:
        assert np.array_equal(ours, general)
