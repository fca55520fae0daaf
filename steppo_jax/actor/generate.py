"""Sampling one response per episode: prefill, then cached decoding in one scan."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from steppo_jax import vocabulary
from steppo_jax.models.decoder import grow
from steppo_jax.models.heads import Policy, log_prob_and_entropy

Decoding = Literal["sampled", "greedy"]


class Response(NamedTuple):
    """What the policy said, R = the most tokens a response may have."""

    token: jax.Array  # [N, R] int32, PAD after the end
    log_prob: jax.Array  # [N, R] float32, 0 after the end
    mask: jax.Array  # [N, R] bool, True at generated tokens (the EOS included)


def choose(
    logits_NV: jax.Array, key_N: jax.Array, temperature: float, decoding: Decoding
) -> jax.Array:
    """[N] int32 next tokens; one key per episode, consumed when sampling."""
    if decoding == "greedy":
        return jnp.argmax(logits_NV, axis=-1).astype(jnp.int32)
    scaled_NV = logits_NV / temperature
    return jax.vmap(jax.random.categorical)(key_N, scaled_NV).astype(jnp.int32)


def generate(
    policy: Policy,
    params,
    prompt_NP: jax.Array,
    key_N: jax.Array,
    response_length: int,
    temperature: float,
    decoding: Decoding = "sampled",
) -> Response:
    """One response to each prompt; stops at EOS or after `response_length` tokens.

    Token i of a response is drawn with `fold_in(key_N, i)`: it does not depend on
    the slot an episode sits in, nor on what other episodes do.

    Args:
      prompt_NP: prompts, padded at the end with PAD.
      key_N: one key per episode, for this step of it (folded, not consumed).
    """
    N, P = prompt_NP.shape
    R = response_length
    length_N = vocabulary.length(prompt_NP)
    place_P = jnp.arange(P)
    segment_NP = (place_P[None] < length_N[:, None]).astype(jnp.int32)
    position_NP = jnp.broadcast_to(place_P[None], (N, P))

    def apply(*args, **kwargs):
        return policy.apply(params, *args, **kwargs, method=Policy.hidden)

    hidden_NPD, cache = apply(prompt_NP, position_NP, segment_NP)
    last_N1 = jnp.maximum(length_N - 1, 0)[:, None]
    hidden_ND = jnp.take_along_axis(hidden_NPD, last_N1[..., None], axis=1)[:, 0]
    cache = grow(cache, P + R)
    # Cached places: the prompt's own, and the response's, which start at P for all.
    prompt_NC = jnp.pad(segment_NP > 0, ((0, 0), (0, R)))
    place_C = jnp.arange(P + R)

    def pick(hidden_ND, i, ended_N):
        logits_NV = policy.apply(params, hidden_ND, method=Policy.logits)
        folded_N = jax.vmap(jax.random.fold_in, (0, None))(key_N, i)
        token_N = choose(logits_NV, folded_N, temperature, decoding)
        log_prob_N, _ = log_prob_and_entropy(logits_NV, token_N, temperature)
        token_N = jnp.where(ended_N, vocabulary.PAD, token_N)
        log_prob_N = jnp.where(ended_N, 0.0, log_prob_N)
        return token_N, log_prob_N, ended_N | (token_N == vocabulary.EOS)

    def decode(carry, i):
        cache, token_N, ended_N = carry
        said_C = (place_C >= P) & (place_C < P + i)
        hidden_N1D, cache = apply(
            token_N[:, None],
            (length_N + i - 1)[:, None],
            cache=cache,
            place=P + i - 1,
            mask_SLC=(prompt_NC | said_C[None])[:, None],
        )
        token_N, log_prob_N, now_ended_N = pick(hidden_N1D[:, 0], i, ended_N)
        return (cache, token_N, now_ended_N), (token_N, log_prob_N, ~ended_N)

    none_N = jnp.zeros((N,), bool)
    token_N, log_prob_N, ended_N = pick(hidden_ND, 0, none_N)
    first = (token_N, log_prob_N, ~none_N)
    _, rest = jax.lax.scan(decode, (cache, token_N, ended_N), jnp.arange(1, R))
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]).T, first, rest)
    return Response(*joined)
