"""From what an actor recorded to the `Tokens` table.

Layout `rows`: one step per sequence, the prompt followed at once by the response.
Layout `merged`: steps that continue each other share one. (`packing` has the third.)
A response token is predicted at the place before it, in every layout.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import vocabulary
from steppo_jax.structs import NO_SEQUENCE, NO_STEP, Steps, Tokens


def rows(
    prompt_BP: jax.Array,
    response_BR: jax.Array,
    response_mask_BR: jax.Array,
    log_prob_BR: jax.Array,
    policy_version: jax.Array,
    length_B: jax.Array | None = None,
    next_prompt_NP: jax.Array | None = None,
    next_row_of_N: jax.Array | None = None,
    next_length_N: jax.Array | None = None,
) -> Tokens:
    """Tokens with sequence b = step b, [B (+ N), P + R].

    Args:
      prompt_BP, response_BR: padded at the end; `response_mask_BR` is True at
        generated tokens, and all False where the row is not valid.
      policy_version: [] for all tokens, or [B, P + R].
      length_B: tokens of each prompt, where the vocabulary has no word for padding;
        left out, they are counted up to `vocabulary.PAD`.
      next_prompt_NP: observations after a truncated last step, whose values are
        bootstrapped: appended as sequences without response tokens.
      next_row_of_N: the step each of those follows, or -1 for none.
      next_length_N: as `length_B`, of those.
    """
    B, P = prompt_BP.shape
    R = response_BR.shape[1]
    if length_B is None:
        length_B = vocabulary.length(prompt_BP)
    count_B = response_mask_BR.sum(axis=1)
    place_L = jnp.arange(P + R)
    # Response place i sits at length + i: i for every place, out of range = not one.
    i_BL = place_L[None] - length_B[:, None]
    said_BL = (i_BL >= 0) & (i_BL < count_B[:, None])
    at_BL = jnp.clip(i_BL, 0, R - 1)

    def response(x_BR, fill):
        return jnp.where(said_BL, jnp.take_along_axis(x_BR, at_BL, axis=1), fill)

    prompt_BL = jnp.pad(prompt_BP, ((0, 0), (0, R)), constant_values=vocabulary.PAD)
    used_BL = (i_BL < 0) | said_BL
    row_B1 = jnp.arange(B, dtype=jnp.int32)[:, None]
    tokens = Tokens(
        token=response(response_BR, prompt_BL),
        position=jnp.broadcast_to(place_L[None], (B, P + R)).astype(jnp.int32),
        segment=used_BL.astype(jnp.int32),
        step_id=jnp.where(said_BL, row_B1, NO_STEP),
        behaviour_log_prob=response(log_prob_BR, 0.0),
        policy_version=jnp.broadcast_to(policy_version, (B, P + R)).astype(jnp.int32),
        value_at=jnp.stack([row_B1[:, 0], jnp.maximum(length_B - 1, 0)], axis=1),
        next_value_at=jnp.full((B, 2), NO_SEQUENCE, jnp.int32),
        prompt_columns=P,
    )
    if next_prompt_NP is None:
        return tokens
    if next_length_N is None:
        next_length_N = vocabulary.length(next_prompt_NP)
    return _append_next(tokens, next_prompt_NP, next_row_of_N, next_length_N)


def _append_next(tokens: Tokens, prompt_NP, row_N, length_N) -> Tokens:
    """Adds the prompts of true next states, and points `next_value_at` at them."""
    B, L = tokens.token.shape
    N, P = prompt_NP.shape
    used_NL = (jnp.arange(L)[None] < length_N[:, None]) & (row_N >= 0)[:, None]
    at_N2 = jnp.stack(
        [B + jnp.arange(N, dtype=jnp.int32), jnp.maximum(length_N - 1, 0)], axis=1
    )
    # Rows of -1 are sent out of range, where a scatter drops them.
    to_N = jnp.where(row_N < 0, B, row_N)

    def add(x_BL, x_NL):
        return jnp.concatenate([x_BL, x_NL.astype(x_BL.dtype)])

    return tokens.replace(
        token=add(tokens.token, jnp.pad(prompt_NP, ((0, 0), (0, L - P)))),
        position=add(tokens.position, tokens.position[:N]),
        segment=add(tokens.segment, used_NL),
        step_id=add(tokens.step_id, jnp.full((N, L), NO_STEP)),
        behaviour_log_prob=add(tokens.behaviour_log_prob, jnp.zeros((N, L))),
        policy_version=add(tokens.policy_version, tokens.policy_version[:N]),
        next_value_at=tokens.next_value_at.at[to_N].set(at_N2, mode="drop"),
    )


def merged(steps: Steps, tokens: Tokens) -> Tokens:
    """Layout `merged` of a table in layout `rows`: what continues shares a sequence.

    Where the prompt of step t + 1 begins with the whole sequence of step t (the same
    ids at the same positions), the sequence of step t + 1 holds both, so the steps of
    an append-only trajectory end up in the last one's sequence, at the places they
    have already; nothing is copied but what belongs to a response. The emptied
    sequences are padding. A step whose context was rebuilt begins a sequence of its
    own: nothing is lost, and nothing saved. Steps that continue each other are found
    in neighbouring rows.
    """
    B, S = steps.num_rows, tokens.token.shape[0]
    used_SL, said_BL = tokens.segment > 0, tokens.response_mask[:B]
    row_B = jnp.arange(B, dtype=jnp.int32)

    def begins_with(longer_B: jax.Array) -> jax.Array:
        """[B] whether sequence longer_B[b] begins with all of sequence b."""
        same = tokens.token[longer_B] == tokens.token[:B]
        same &= tokens.position[longer_B] == tokens.position[:B]
        return (~used_SL[:B] | (same & used_SL[longer_B])).all(axis=1)

    after_B = jnp.minimum(row_B + 1, B - 1)
    follows_B = (steps.traj_id[after_B] == steps.traj_id) & (row_B < B - 1)
    follows_B &= steps.step_index[after_B] == steps.step_index + 1
    follows_B &= steps.valid & steps.valid[after_B]
    grows_B = follows_B & begins_with(after_B)
    # The last row of each run of rows that grow, and where a limit cut it there, the
    # sequence of the true next state, if that begins with it too.
    end_B = jax.lax.cummin(jnp.where(grows_B, B, row_B), reverse=True)
    beyond_B = jnp.maximum(tokens.next_value_at[:, 0], 0)
    onwards_B = (tokens.next_value_at[:, 0] >= B) & steps.valid & begins_with(beyond_B)
    host_B = jnp.where(onwards_B, beyond_B, row_B)[end_B]

    def gathered(x_BL: jax.Array, fill: int | float) -> jax.Array:
        """[S, L] the responses' entries in the sequence that holds them, else fill."""
        empty_SL = jnp.full(tokens.token.shape, fill, x_BL.dtype)
        return empty_SL.at[host_B].max(jnp.where(said_BL, x_BL, fill))

    step_id = gathered(tokens.step_id[:B], NO_STEP)
    said_SL = step_id != NO_STEP
    log_prob = gathered(tokens.behaviour_log_prob[:B], -jnp.inf)
    version = gathered(tokens.policy_version[:B], -1)
    gone_S = jnp.zeros((S,), bool).at[:B].set(host_B != row_B)
    return tokens.replace(
        segment=jnp.where(gone_S[:, None], 0, tokens.segment),
        step_id=step_id,
        behaviour_log_prob=jnp.where(said_SL, log_prob, 0.0),
        policy_version=jnp.where(said_SL, version, tokens.policy_version),
        value_at=tokens.value_at.at[:, 0].set(host_B),
    )


def of_rows(rows: Tokens, merged: Tokens, x_SL: jax.Array) -> jax.Array:
    """A table of `merged` at the response tokens of `rows`, 0 elsewhere: undoes it."""
    B = rows.value_at.shape[0]
    there_BL = jnp.where(rows.response_mask[:B], x_SL[merged.value_at[:, 0]], 0.0)
    return jnp.zeros_like(x_SL).at[:B].set(there_BL)
