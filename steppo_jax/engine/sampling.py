"""One token per slot from its logits: temperature, top-k, top-p, or the largest."""

from __future__ import annotations

import jax
import jax.numpy as jnp

HIDDEN = -1e30  # logit of a token that filtering took away


def filtered(logits_SV: jax.Array, top_k_S: jax.Array, top_p_S: jax.Array) -> jax.Array:
    """Logits with only the k largest and the smallest set of mass ≥ p left.

    k = 0 and p = 1 leave all. Top-p (arXiv 1904.09751) is taken of what top-k left;
    a token is kept if the mass of those before it is below p, so one always is.
    """
    V = logits_SV.shape[-1]
    order_SV = jnp.argsort(-logits_SV, axis=-1)
    sorted_SV = jnp.take_along_axis(logits_SV, order_SV, axis=-1)
    k_S1 = jnp.where(top_k_S == 0, V, top_k_S)[:, None]
    sorted_SV = jnp.where(jnp.arange(V)[None] < k_S1, sorted_SV, HIDDEN)
    mass_SV = jax.nn.softmax(sorted_SV, axis=-1)
    before_SV = jnp.cumsum(mass_SV, axis=-1) - mass_SV
    sorted_SV = jnp.where(before_SV < top_p_S[:, None], sorted_SV, HIDDEN)
    rank_SV = jnp.argsort(order_SV, axis=-1)
    return jnp.take_along_axis(sorted_SV, rank_SV, axis=-1)


def sample(
    logits_SV: jax.Array,
    key_S: jax.Array,
    temperature_S: jax.Array,
    top_k_S: jax.Array,
    top_p_S: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """(token [S] int32, its log-prob [S] float32 under the distribution sampled).

    Temperature 0 takes the largest logit; its log-prob is that of temperature 1.
    Sorting the vocabulary is skipped while no slot filters. Consumes the keys.
    """
    greedy_S = temperature_S == 0
    scaled_SV = logits_SV / jnp.where(greedy_S, 1.0, temperature_S)[:, None]
    filters = ((top_k_S > 0) | (top_p_S < 1)) & ~greedy_S
    scaled_SV = jax.lax.cond(
        filters.any(),
        lambda x: jnp.where(filters[:, None], filtered(x, top_k_S, top_p_S), x),
        lambda x: x,
        scaled_SV,
    )
    drawn_S = jax.vmap(jax.random.categorical)(key_S, scaled_SV)
    token_S = jnp.where(greedy_S, jnp.argmax(logits_SV, axis=-1), drawn_S)
    chosen_S = jnp.take_along_axis(scaled_SV, token_S[:, None], axis=-1)[:, 0]
    log_prob_S = chosen_S - jax.nn.logsumexp(scaled_SV, axis=-1)
    return token_S.astype(jnp.int32), log_prob_S
