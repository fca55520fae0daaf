"""Trajectories as runs of neighbouring rows: order and reverse scans.

Rows of `Steps` come in any order. Sorting by (trajectory, step) makes every
trajectory a run of neighbours, so a recursion along trajectories is one scan
over `[B]` that is reset where a run ends. No trajectory × step table exists.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax import masked
from steppo_jax.structs import Steps


@struct.dataclass
class Timeline:
    """Where each row stands once rows are sorted by (trajectory, step)."""

    order: jax.Array  # [B] int32, the row at each place; invalid rows come last
    is_first: jax.Array  # [B] bool, by row: first step of its trajectory
    is_last: jax.Array  # [B] bool, by row: last step of its trajectory
    traj: jax.Array  # [B] int32, by row: trajectories numbered from 0; -1 if invalid


def timeline(steps: Steps) -> Timeline:
    """Sorts the rows of `steps`. (traj_id, step_index) must be unique if valid."""
    order = jnp.lexsort((steps.step_index, steps.traj_id, ~steps.valid))
    traj, valid = steps.traj_id[order], steps.valid[order]
    starts = valid & masked.starts_run((traj,))
    # The row after the last of a trajectory starts another one, or is invalid.
    ends = valid & jnp.append(starts[1:] | ~valid[1:], True)
    number = jnp.where(valid, jnp.cumsum(starts) - 1, -1)
    return Timeline(
        order=order,
        is_first=_to_rows(starts, order),
        is_last=_to_rows(ends, order),
        traj=_to_rows(number, order),
    )


def following(x_B: jax.Array, line: Timeline, beyond_B: jax.Array) -> jax.Array:
    """[B] x of the next step of the trajectory, and `beyond` at its last step."""
    shifted = jnp.roll(x_B[line.order], -1)
    return jnp.where(line.is_last, beyond_B, _to_rows(shifted, line.order))


def reverse_scan(a_B: jax.Array, b_B: jax.Array, line: Timeline) -> jax.Array:
    """[B] y_t = b_t + a_t y_{t+1} along each trajectory, y = 0 beyond its end.

    Invalid rows give 0. A NaN in one trajectory stays in that trajectory.
    """
    valid = line.traj >= 0
    a = masked.select(a_B, valid & ~line.is_last)[line.order]
    b = masked.select(b_B, valid)[line.order]
    _, y = jax.lax.associative_scan(compose, (a, b), reverse=True)
    return _to_rows(y, line.order)


def compose(
    later: tuple[jax.Array, jax.Array], earlier: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """(a, b) of y ↦ b_e + a_e (b_l + a_l y). A factor 0 cuts off what is later."""
    (a_l, b_l), (a_e, b_e) = later, earlier
    b = jnp.where(a_e == 0, b_e, b_e + a_e * b_l)
    return a_l * a_e, b


def _to_rows(x: jax.Array, order: jax.Array) -> jax.Array:
    """Scatters an array by place back to the order in which rows were given."""
    return jnp.zeros_like(x).at[order].set(x, unique_indices=True)
