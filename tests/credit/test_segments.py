"""Runs of rows: the scan, the neighbour, the numbering."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from steppo_jax import masked
from steppo_jax.credit import segments
from steppo_jax.structs import Steps, empty_branch_advantage

timeline = jax.jit(segments.timeline)
following = jax.jit(segments.following)
reverse_scan = jax.jit(segments.reverse_scan)

# Row:          0  1  2  3  4  5  (row 4 is padding with a live trajectory's id)
TRAJ = np.array([9, 3, 9, 3, 9, 5])
STEP = np.array([1, 0, 0, 1, 1, 7])
VALID = np.array([True, True, True, True, False, True])


def steps():
    zeros = jnp.zeros(6)
    return Steps(
        reward=zeros,
        traj_id=jnp.asarray(TRAJ),
        step_index=jnp.asarray(STEP),
        group_id=jnp.zeros(6, jnp.int32),
        terminated=zeros > 0,
        truncated=zeros > 0,
        state_key=jnp.zeros(6, jnp.uint32),
        branch_advantage=empty_branch_advantage(6),
        valid=jnp.asarray(VALID),
    )


def test_timeline_marks_first_and_last_steps_and_numbers_trajectories():
    line = timeline(steps())
    assert line.is_first.tolist() == [False, True, True, False, False, True]
    assert line.is_last.tolist() == [True, False, False, True, False, True]
    assert line.traj.tolist() == [2, 0, 2, 0, -1, 1]


def test_reverse_scan_by_hand():
    # Trajectory 9: rows 2 then 0. y_0 = 1; y_2 = 10 + 0.5·1 = 10.5
    # Trajectory 3: rows 1 then 3. y_3 = 4; y_1 = 2 + 0.5·4 = 4.  Trajectory 5: 6
    a = jnp.full(6, 0.5)
    b = jnp.array([1.0, 2.0, 10.0, 4.0, jnp.nan, 6.0])
    y = reverse_scan(a, b, timeline(steps()))
    assert y.tolist() == [1.0, 4.0, 10.5, 4.0, 0.0, 6.0]


def test_a_nan_stays_in_its_trajectory():
    b = jnp.array([jnp.nan, 2.0, 10.0, 4.0, 0.0, 6.0])
    y = reverse_scan(jnp.full(6, 0.5), b, timeline(steps()))
    assert np.isnan(y).tolist() == [True, False, True, False, False, False]


def test_following_reads_the_next_step_and_beyond_at_the_end():
    x, beyond = jnp.arange(6.0), jnp.full(6, -1.0)
    x_next = following(x, timeline(steps()), beyond)
    assert x_next[jnp.asarray(VALID)].tolist() == [-1.0, 3.0, 0.0, -1.0, -1.0]


def test_a_long_scan_equals_a_loop():
    rng = np.random.default_rng(0)
    b, n = rng.normal(size=300), 300
    table = steps()
    table = Steps(
        reward=jnp.zeros(n),
        traj_id=jnp.zeros(n, jnp.int32),
        step_index=jnp.arange(n)[::-1],
        group_id=jnp.zeros(n, jnp.int32),
        terminated=jnp.zeros(n, bool),
        truncated=jnp.zeros(n, bool),
        state_key=jnp.zeros(n, jnp.uint32),
        branch_advantage=jnp.zeros(n),
        valid=jnp.ones(n, bool),
    )
    expected, y = np.zeros(n), 0.0
    for row in range(n):  # rows stand in reverse order of time
        y = b[row] + 0.97 * y
        expected[row] = y
    y = reverse_scan(jnp.full(n, 0.97), jnp.asarray(b), timeline(table))
    assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_number_gives_equal_keys_equal_numbers():
    keys = (jnp.array([7, 7, 2, 2, 2]), jnp.array([1, 1, 0, 5, 0]))
    valid = jnp.array([True, True, True, True, False])
    assert masked.number(keys, valid).tolist() == [2, 2, 0, 1, -1]
