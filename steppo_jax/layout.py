"""From what an actor recorded to the `Tokens` table.

Layout `rows`: one step per sequence, the prompt followed at once by the response.
A response token is predicted at the place before it, in every layout.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import vocabulary
from steppo_jax.structs import NO_SEQUENCE, NO_STEP, Tokens


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
