"""Forward passes over slices of the `Tokens` table."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import placement
from steppo_jax.learner import microbatch, places
from steppo_jax.models.heads import (
    Critic,
    Policy,
    ValueHead,
    log_prob_and_entropy,
)
from steppo_jax.structs import Tokens


def inputs(tokens: Tokens, columns: int | None = None):
    """(token, position, segment) of the sequences, up to `columns` places."""
    whole = (tokens.token, tokens.position, tokens.segment)
    return tuple(x[:, :columns] for x in whole)


def after(x_SL: jax.Array) -> jax.Array:
    """Moves what stands at place p−1 to place p; place 0 gets 0."""
    return jnp.pad(x_SL[:, :-1], ((0, 0), (1, 0)))


def log_probs(
    policy: Policy,
    params,
    inputs,
    temperature: float,
    wanted_mL: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """log π and entropy at every place ≥ 1, [m, L], each given the places before.

    Place 0 holds 0. With `wanted_mL` (bool) only the places it names mean anything,
    and with many words only these are read.
    """
    x_mLD, _ = policy.apply(params, *inputs, method="hidden")
    return _of_tokens(policy, params, x_mLD, inputs[0], temperature, wanted_mL)


def log_probs_and_values(
    policy: Policy,
    head: ValueHead,
    params,
    inputs,
    temperature: float,
    trains_trunk: bool | jax.Array = True,
    wanted_mL: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`log_probs`, and values [m, L] that a head reads off the same hidden states.

    Args:
      params: (policy's, head's).
      trains_trunk: whether the gradient of the values reaches the policy.
    """
    of_policy, of_head = params
    x_mLD, _ = policy.apply(of_policy, *inputs, method="hidden")
    read = jnp.where(trains_trunk, x_mLD, jax.lax.stop_gradient(x_mLD))
    value = head.apply(of_head, read)
    token = inputs[0]
    found = _of_tokens(policy, of_policy, x_mLD, token, temperature, wanted_mL)
    return *found, value


def _of_tokens(
    policy: Policy, params, x_mLD, token_mL, temperature: float, wanted_mL
) -> tuple[jax.Array, jax.Array]:
    """log π and entropy of the token after each place, put at the token.

    More than LOGITS_AT_ONCE logits are never made at once: see learner/places.py.
    """

    def logits(x):
        return policy.apply(params, x, method="logits")

    def read(logits, token):
        return log_prob_and_entropy(logits, token, temperature)

    before, after_ = x_mLD[:, :-1], token_mL[:, 1:]
    V = policy.config.vocabulary
    if after_.size * V <= places.LOGITS_AT_ONCE:
        log_prob, entropy = read(logits(before), after_)
    elif placement.pieces() > 1:
        log_prob, entropy = _by_columns(policy, params, before, after_, temperature)
    else:
        wanted = jnp.ones_like(after_, bool) if wanted_mL is None else wanted_mL[:, 1:]
        flat = before.reshape(-1, before.shape[-1]), after_.ravel(), wanted.ravel()
        found = places.at_wanted(logits, read, *flat, V)
        log_prob, entropy = (x.reshape(after_.shape) for x in found)

    def shift(x):
        return jnp.pad(x, ((0, 0), (1, 0)))

    return shift(log_prob), shift(entropy)


def _by_columns(
    policy: Policy, params, x_mLD, token_mL, temperature: float
) -> tuple[jax.Array, jax.Array]:
    """log π and entropy [m, L] a few columns at a time: no device gets more than its
    own sequences, and as many logits as `places` allows.
    """
    m, L = token_mL.shape
    here, V = -(-m // placement.pieces()), policy.config.vocabulary
    columns = min(max(places.LOGITS_AT_ONCE // (V * here), 1), L)
    pad = -L % columns
    # Whole before the loop, which would gather it again for each of its turns.
    params = placement.gathered(params)

    def cut(x):
        x = jnp.pad(x, ((0, 0), (0, pad), *((0, 0),) * (x.ndim - 2)))
        return x.reshape(m, -1, columns, *x.shape[2:]).swapaxes(0, 1)

    @jax.checkpoint
    def read(each):
        x, token = map(placement.spread, each)
        logits = policy.apply(params, x, method="logits")
        return log_prob_and_entropy(logits, token, temperature)

    out = jax.lax.map(read, (cut(x_mLD), cut(token_mL)))
    return tuple(x.swapaxes(0, 1).reshape(m, -1)[:, :L] for x in out)


def policy_tables(
    policy: Policy, params, tokens: Tokens, temperature: float, size: int
) -> tuple[jax.Array, jax.Array]:
    """log π and entropy of every response token, [S, L], 0 elsewhere. No gradient."""
    mask_SL = tokens.response_mask
    order = microbatch.wanted_first(mask_SL.any(axis=1))

    def run(rows, real):
        given, mask = rows
        return log_probs(policy, params, given, temperature, mask & real[:, None])

    rows = inputs(tokens), mask_SL
    found = microbatch.tables(run, mask_SL.shape[1], rows, *order, size)
    return tuple(jnp.where(mask_SL, x, 0.0) for x in found)


def shared_tables(
    policy: Policy,
    head: ValueHead,
    params,
    tokens: Tokens,
    valued_S: jax.Array,
    temperature: float,
    size: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`policy_tables`, and values [S, L] of the same pass, 0 in sequences not read.

    Args:
      params: (policy's, head's).
      valued_S: sequences whose values are read; some have no response token.
    """
    mask_SL = tokens.response_mask
    order = microbatch.wanted_first(mask_SL.any(axis=1) | valued_S)

    def run(rows, real):
        given, mask = rows
        return log_probs_and_values(
            policy, head, params, given, temperature, wanted_mL=mask & real[:, None]
        )

    rows = inputs(tokens), mask_SL
    log_prob, entropy, value = microbatch.tables(
        run, mask_SL.shape[1], rows, *order, size
    )
    return *(jnp.where(mask_SL, x, 0.0) for x in (log_prob, entropy)), value


def value_table(
    critic: Critic,
    params,
    tokens: Tokens,
    wanted_S: jax.Array,
    columns: int,
    size: int,
) -> jax.Array:
    """Values [S, columns] at every place of the wanted sequences, 0 elsewhere."""
    order = microbatch.wanted_first(wanted_S)

    def run(rows, _):
        return (critic.apply(params, *rows),)

    rows = inputs(tokens, columns)
    (found,) = microbatch.tables(run, columns, rows, *order, size)
    return found
