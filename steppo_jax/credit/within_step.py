"""Reverse recursions over the response tokens of each step, in any layout.

The tokens of one step stand in order in one sequence. Holes (tool output) may
stand between them, other steps before and after them, but not in between.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import CreditBatch
from steppo_jax.structs import NO_STEP

Maps = tuple[jax.Array, jax.Array]  # (a, b) of y ↦ b + a y


def suffix_maps(
    a_SL: jax.Array, b_SL: jax.Array, batch: CreditBatch
) -> tuple[Maps, Maps]:
    """Composes y_{i−1} = b_i + a_i y_i over the tokens of each step, backwards.

    Returns
      [S, L] maps of all *later* tokens of the step, so that y_i = b + a y_end;
        the identity (1, 0) at its last token. Meaningless at holes.
      [B] maps of whole steps; (0, 0) for a step without tokens.
    """
    step, mask = batch.step_id, batch.response_mask
    maps = (jnp.where(mask, a_SL, 1), masked.select(b_SL, mask))
    # ahead: the step of the first response token at or after each place.
    ahead, a, b = jax.lax.associative_scan(_join, (step, *maps), reverse=True, axis=1)
    is_last = _left(ahead, NO_STEP) != step
    after = (jnp.where(is_last, 1, _left(a, 1)), jnp.where(is_last, 0, _left(b, 0)))
    # A step is complete at the place before which another step lies ahead.
    before = jnp.pad(ahead[:, :-1], ((0, 0), (1, 0)), constant_values=NO_STEP)
    complete = jnp.where(before != ahead, ahead, NO_STEP)

    def gather(x_SL):
        local = masked.segment_sum(x_SL, complete, batch.steps.num_rows)
        return batch.axis.sum(local)

    return after, (gather(a), gather(b))


def _join(later, earlier):
    """Composes two neighbours (step, a, b); maps of different steps do not mix."""
    (step_l, a_l, b_l), (step_e, a_e, b_e) = later, earlier
    hole = step_e == NO_STEP
    mix = hole | (step_e == step_l) | (step_l == NO_STEP)
    return (
        jnp.where(hole, step_l, step_e),
        jnp.where(mix, a_e * a_l, a_e),
        jnp.where(mix, b_e + a_e * b_l, b_e),
    )


def _left(x_SL: jax.Array, fill: float) -> jax.Array:
    """[S, L] the entry one place later; `fill` at the end."""
    return jnp.pad(x_SL[:, 1:], ((0, 0), (0, 1)), constant_values=fill)
