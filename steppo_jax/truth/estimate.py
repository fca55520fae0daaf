"""Policy gradients of a tabular policy as an estimator of credit would have them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import credit
from steppo_jax.credit import CreditBatch, CreditSettings
from steppo_jax.objective.weights import loss_weights
from steppo_jax.parallel import ONE
from steppo_jax.truth.rollouts import Rollouts


def token_advantage(
    name: str,
    batch: CreditBatch,
    settings: CreditSettings,
    rollouts: Rollouts,
    normalise: str = "none",
) -> jax.Array:
    """[N, T, L] the advantage of every token, by any registered estimator.

    A step-level advantage stands on all tokens of its step.
    """
    found = credit.estimate(name, batch, settings).advantage
    found = credit.normalise(normalise, found, batch)
    per_token = found if found.ndim == 2 else batch.to_tokens(found)
    return jnp.where(rollouts.said, per_token.reshape(rollouts.shape), 0)


def score_sum(
    weight_NTL: jax.Array, rollouts: Rollouts, policy: jax.Array
) -> jax.Array:
    """[S, K, V] Σ weight · ∂ log π(token)/∂ logits over all response tokens.

    For a softmax ∂ log π(v)/∂ logit(u) = 1{u = v} − π(u).
    """
    S, K, V = policy.shape
    spot = (rollouts.state[..., None] * K + rollouts.node) * V + rollouts.token
    weight = jnp.where(rollouts.said, weight_NTL, 0).ravel()
    spoken = jax.ops.segment_sum(weight, spot.ravel(), S * K * V).reshape(S, K, V)
    return spoken - spoken.sum(-1, keepdims=True) * policy


def batch_gradient(
    advantage_NTL: jax.Array,
    batch: CreditBatch,
    rollouts: Rollouts,
    policy: jax.Array,
    aggregate: str = "constant",
) -> jax.Array:
    """[S, K, V] Σ w A ∇ log π / Σ count, the gradient of a policy loss at ratio 1.

    `aggregate` as in objective.weights. "constant", here with the constant 1, is
    the sum over the tokens of an episode, averaged over episodes: the one that the
    policy gradient theorem asks for.
    """
    constant = 1.0 if aggregate == "constant" else None
    weight, count = loss_weights(batch.steps, batch.step_id, ONE, aggregate, constant)
    weighted = weight.reshape(rollouts.shape) * advantage_NTL
    return score_sum(weighted, rollouts, policy) / count.sum()


def expected_gradient(
    advantage_NTL: jax.Array, rollouts: Rollouts, policy: jax.Array, chance_N: jax.Array
) -> jax.Array:
    """[S, K, V] Σ_n p_n Σ_t Σ_i A ∇ log π: with all episodes that can happen, the
    exact expectation of an estimator that treats episodes one by one."""
    return score_sum(advantage_NTL * chance_N[:, None, None], rollouts, policy)


def episode_variance(
    advantage_NTL: jax.Array, rollouts: Rollouts, policy: jax.Array, chance_N: jax.Array
) -> jax.Array:
    """[] E‖g_n‖² − ‖E g_n‖², the exact variance of the gradient of one episode."""

    def one(advantage_TL, episode):
        alone = jax.tree.map(lambda x: x[None], episode)
        return jnp.sum(score_sum(advantage_TL[None], alone, policy) ** 2)

    squares = jax.lax.map(
        lambda pair: one(*pair), (advantage_NTL, rollouts), batch_size=256
    )
    mean = expected_gradient(advantage_NTL, rollouts, policy, chance_N)
    return jnp.sum(chance_N * squares) - jnp.sum(mean**2)
