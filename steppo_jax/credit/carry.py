"""A number carried backwards: through the tokens of a step, then to the step before.

Recursions over the response tokens of a trajectory are split in two scans, so that
tokens may be laid out in any way: inside each step along its sequence, and over
steps. The tokens of one step stand in order in one sequence. Holes (tool output)
may stand between them, other steps before and after them, but not in between.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax import masked
from steppo_jax.credit.base import CreditBatch
from steppo_jax.credit.segments import Timeline, following, reverse_scan
from steppo_jax.structs import NO_STEP

Map = tuple[jax.Array, jax.Array]  # (a, b) of y ↦ b + a y


@struct.dataclass
class TokenMaps:
    """y_{i−1} = b_i + a_i y_i composed over the tokens of each step, backwards."""

    after: Map  # [S, L] of the later tokens of the step: y_i = b + a y_end
    whole: Map  # [B] of all tokens of the step; (0, 0) if it has none
    is_last: jax.Array  # [S, L] bool, the last response token of its step


def through_tokens(a_SL: jax.Array, b_SL: jax.Array, batch: CreditBatch) -> TokenMaps:
    """Composes the maps of the response tokens. What stands at holes is not read."""
    step, mask = batch.step_id, batch.response_mask
    maps = (jnp.where(mask, a_SL, 1), masked.select(b_SL, mask))
    # ahead: the step of the first response token at or after each place.
    ahead, a, b = jax.lax.associative_scan(_join, (step, *maps), reverse=True, axis=1)
    is_last = mask & (_left(ahead, NO_STEP) != step)
    after = (jnp.where(is_last, 1, _left(a, 1)), jnp.where(is_last, 0, _left(b, 0)))
    # A step is complete at the place before which another step lies ahead.
    before = jnp.pad(ahead[:, :-1], ((0, 0), (1, 0)), constant_values=NO_STEP)
    complete = jnp.where(before != ahead, ahead, NO_STEP)
    whole = (batch.per_step(a, complete), batch.per_step(b, complete))
    return TokenMaps(after, whole, is_last)


def through_steps(
    whole: Map,
    end: jax.Array,
    batch: CreditBatch,
    line: Timeline,
    *,
    silent_gamma: float | jax.Array,
    official: bool,
) -> jax.Array:
    """[B] the number that enters each step, y_t = b_{t+1} + a_{t+1} y_{t+1}.

    `end` enters the last step. A step without tokens adds its reward and hands
    `silent_gamma` times the number on (official: loses the reward).
    """
    silent = batch.num_tokens() == 0
    reward = batch.step_reward(official)
    a = jnp.where(silent, silent_gamma, whole[0])
    b = jnp.where(silent, silent_gamma * reward, whole[1])
    b = jnp.where(line.is_last, b + a * end, b)
    return following(reverse_scan(a, b, line), line, end)


def at_tokens(maps: TokenMaps, entering: jax.Array, batch: CreditBatch) -> jax.Array:
    """[S, L] the number at each response token; meaningless at holes."""
    a, b = maps.after
    return b + a * batch.to_tokens(entering)


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
