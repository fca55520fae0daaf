"""Policy gradients of a tabular policy as an estimator of credit would have them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import credit
from steppo_jax.credit import CreditBatch, CreditSettings
from steppo_jax.truth.mdp import Mdp, probabilities
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


def score_sums(
    weight_NTL: jax.Array, rollouts: Rollouts, policy: jax.Array, unit_N: jax.Array
) -> jax.Array:
    """[U, S, K, V] Σ weight · ∂ log π(token)/∂ logits over the tokens of unit U.

    For a softmax ∂ log π(v)/∂ logit(u) = 1{u = v} − π(u). `unit` [N] says which
    unit an episode is of; the number of units is 1 + its largest entry, and it must
    be concrete.
    """
    S, K, V = policy.shape
    units = int(np.max(np.asarray(unit_N))) + 1
    spot = (unit_N[:, None, None] * S + rollouts.state[..., None]) * K + rollouts.node
    weight = jnp.where(rollouts.said, weight_NTL, 0).ravel()
    spoken = jax.ops.segment_sum(
        weight, (spot * V + rollouts.token).ravel(), units * S * K * V
    ).reshape(units, S, K, V)
    return spoken - spoken.sum(-1, keepdims=True) * policy


def mean_gradient(
    advantage_NTL: jax.Array,
    rollouts: Rollouts,
    mdp: Mdp,
    logits: np.ndarray,
    chance_N: jax.Array | None = None,
) -> jax.Array:
    """[S, K, V] Σ_n p_n Σ_t Σ_i A ∇ log π: the mean over episodes, all equally likely
    unless `chance` says how likely they are. With the episodes of
    `enumeration.all_episodes` this is the estimator's exact expectation.
    """
    N = advantage_NTL.shape[0]
    share = jnp.full((N,), 1 / N) if chance_N is None else jnp.asarray(chance_N)
    policy = jnp.asarray(probabilities(logits, mdp.language))
    unit = np.zeros(N, int)
    return score_sums(advantage_NTL * share[:, None, None], rollouts, policy, unit)[0]
