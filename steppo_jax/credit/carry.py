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

Map = tuple[jax.Array, jax.Array]  # (a, b) of y ↦ b + a y


@struct.dataclass
class TokenMaps:
    """y_{i−1} = b_i + a_i y_i composed over the tokens of each step, backwards."""

    after: Map  # [S, L] of the later tokens of the step: y_i = b + a y_end
    whole: Map  # [B] of all tokens of the step; (0, 0) if it has none
    is_last: jax.Array  # [S, L] bool, the last response token of its step


def through_tokens(a_SL: jax.Array, b_SL: jax.Array, batch: CreditBatch) -> TokenMaps:
    """Composes the maps of the response tokens. What stands at holes is not read."""
    first, last = batch.first_and_last_tokens()
    a = jnp.where(batch.response_mask, a_SL, 1)
    b = masked.select(b_SL, batch.response_mask)
    after = jax.lax.platform_dependent(
        a, b, last, cpu=later_maps_in_turn, default=later_maps_in_parallel
    )
    whole_a = batch.per_step(masked.select(a * after[0], first))
    whole_b = batch.per_step(masked.select(b + a * after[1], first))
    return TokenMaps(after, (whole_a, whole_b), last)


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


def later_maps_in_parallel(a: jax.Array, b: jax.Array, is_last: jax.Array) -> Map:
    """The maps of all later tokens of the step, in log L passes: for GPU and TPU."""

    def join(later, earlier):
        (last_l, a_l, b_l), (last_e, a_e, b_e) = later, earlier
        a = jnp.where(last_e, a_e, a_e * a_l)
        b = jnp.where(last_e, b_e, b_e + a_e * b_l)
        return last_l | last_e, a, b

    elements = (is_last, a, b)
    _, a, b = jax.lax.associative_scan(join, elements, reverse=True, axis=1)

    def one_later(x, fill):
        left = jnp.pad(x[:, 1:], ((0, 0), (0, 1)), constant_values=fill)
        return jnp.where(is_last, fill, left)

    return one_later(a, 1), one_later(b, 0)


def later_maps_in_turn(a: jax.Array, b: jax.Array, is_last: jax.Array) -> Map:
    """The same place by place, all sequences at once: several times faster on CPU."""

    def back_one_place(later, place):
        a, b, is_last = place
        a_after, b_after = (
            jnp.where(is_last, 1, later[0]),
            masked.select(later[1], ~is_last),
        )
        return (a * a_after, b + a * b_after), (a_after, b_after)

    nothing = (jnp.ones_like(a[:, 0]), jnp.zeros_like(b[:, 0]))
    by_place = (a.T, b.T, is_last.T)
    _, (a_after, b_after) = jax.lax.scan(
        back_one_place, nothing, by_place, reverse=True
    )
    return a_after.T, b_after.T
