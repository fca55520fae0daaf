"""What the learner shows of one iteration, for people: not read by any update."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.learner import guard
from steppo_jax.learner.gradients import Tables
from steppo_jax.structs import Steps, Tokens

Seen = dict[str, jax.Array]


def by_step(steps: Steps, tables: Tables, next_value: jax.Array) -> Seen:
    """Value, value beyond a limit, and (normalised) advantage of each step, [B].

    Means over the step's tokens where the critic reads every token; then
    `token_value` [S, L], the value before each response token, is there too.
    """
    step_id, rows = tables.tokens.step_id, steps.num_rows
    seen = {"next_value": next_value}
    value = tables.old_value
    if tables.per_token:
        seen["token_value"] = value
        value = masked.segment_mean(value, step_id, rows)
    advantage = masked.segment_mean(tables.advantage, step_id, rows)
    return seen | {"value": value, "advantage": advantage}


def skipped(parts: dict, orders, counts, steps: Steps, tokens: Tokens) -> Seen:
    """Which optimizer steps were not taken, and which rows stood in them.

    Args:
      parts: network → (sums, norm) of every optimizer step of the iteration.
      orders, counts: [U, S] and [U], the minibatch of each of the U steps.

    Returns:
      skipped [U] bool, in order; suspect [B] bool: the step is of a sequence of such a
      minibatch.
    """
    takes = [guard.finite(*part) for part in parts.values()]
    skipped_U = ~jnp.stack(takes).all(axis=0)
    place_S = jnp.arange(orders.shape[1])

    def suspects(order_S, count, skip):
        return (
            jnp.zeros_like(skip, shape=order_S.shape)
            .at[order_S]
            .set(skip & (place_S < count))
        )

    suspect_S = jax.vmap(suspects)(orders, counts, skipped_U).any(axis=0)
    suspect_B = suspect_S[jnp.maximum(tokens.value_at[:, 0], 0)] & steps.valid
    return {"skipped": skipped_U, "suspect": suspect_B}
