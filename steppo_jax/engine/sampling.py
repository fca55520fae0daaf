"""One token per slot from its logits: temperature, top-k, top-p, or the largest."""

from __future__ import annotations

import jax
import jax.numpy as jnp

HIDDEN = -1e30  # logit of a token that filtering took away
BLOCK = 256  # tokens whose probabilities are added up first when one is drawn


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


def draw(logits_SV: jax.Array, key_S: jax.Array) -> jax.Array:
    """[S] int32 from softmax(logits), one uniform number a slot (inverse of the CDF).

    First the block of tokens, then the token in it: sums stay short, so float32 is
    enough, and no noise is made for every word of a large vocabulary, which costs
    more than a small model's forward pass.
    """
    S, V = logits_SV.shape
    mass_SV = jnp.exp(logits_SV - logits_SV.max(axis=-1, keepdims=True))
    mass_SV = jnp.pad(mass_SV, ((0, 0), (0, -V % BLOCK)))
    mass_SbV = mass_SV.reshape(S, -1, BLOCK)
    block_Sb = mass_SbV.sum(axis=-1)
    at_S = jax.vmap(jax.random.uniform)(key_S) * block_Sb.sum(axis=-1)
    block_S, rest_S = _place(block_Sb, at_S)
    inside_SV = jnp.take_along_axis(mass_SbV, block_S[:, None, None], axis=1)[:, 0]
    token_S, _ = _place(inside_SV, rest_S)
    return (block_S * BLOCK + token_S).astype(jnp.int32)


def _place(mass_Sn: jax.Array, at_S: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where `at` falls when the masses lie end to end, and how far into that one.

    Rounding never leads to an entry without mass.
    """
    end_Sn = jnp.cumsum(mass_Sn, axis=-1)
    n = mass_Sn.shape[-1]
    last_S = n - 1 - jnp.argmax(mass_Sn[:, ::-1] > 0, axis=-1)
    place_S = jnp.minimum((end_Sn <= at_S[:, None]).sum(axis=-1), last_S)
    here_S1 = place_S[:, None]
    start_S1 = jnp.take_along_axis(end_Sn - mass_Sn, here_S1, axis=-1)
    return place_S, at_S - start_S1[:, 0]


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
    drawn_S = draw(scaled_SV, key_S)
    token_S = jnp.where(greedy_S, jnp.argmax(logits_SV, axis=-1), drawn_S)
    chosen_S = jnp.take_along_axis(scaled_SV, token_S[:, None], axis=-1)[:, 0]
    log_prob_S = chosen_S - jax.nn.logsumexp(scaled_SV, axis=-1)
    return token_S.astype(jnp.int32), log_prob_S
