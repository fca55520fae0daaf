"""REINFORCE++ (arXiv 2501.03262; method.md §2.4 and §7.4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.carry import at_tokens, through_steps, through_tokens
from steppo_jax.credit.segments import timeline
from steppo_jax.structs import NO_STEP


def reinforce_pp(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """The return from each token on, without a baseline; it is the target too.

    G_{t,i} = Σ_{j≥i} r_{t,j} + γ G_{t+1,1}: γ discounts interactions, and an early
    step sees what later steps earn. Official: G_i = r_i + γ G_{i+1} inside the row
    only, γ per token, and nothing flows over a hole in the mask. Usual
    normalisation: whitening over tokens.
    """
    reward = masked.select(batch.token_reward, batch.response_mask)
    later = (_in_row if settings.official else _in_trajectory)(reward, batch, settings)
    returns = masked.select(reward + later, batch.response_mask)
    return Credit(returns, returns)


def _in_trajectory(reward, batch, settings) -> jax.Array:
    """[S, L] c_i = G_i − r_i: c_{i−1} = r_i + c_i, and γ from step to step."""
    line, gamma = timeline(batch.steps), settings.gamma
    maps = through_tokens(jnp.ones_like(reward), reward, batch)
    whole = (gamma * maps.whole[0], gamma * maps.whole[1])
    end = jnp.zeros_like(batch.steps.reward)
    entering = through_steps(
        whole, end, batch, line, silent_gamma=gamma, official=False
    )
    return at_tokens(maps, entering, batch)


def _in_row(reward, batch, settings) -> jax.Array:
    """[S, L] c_i = γ G_{i+1} if the next place is a token of the row too, else 0."""
    next_id = jnp.pad(batch.step_id[:, 1:], ((0, 0), (0, 1)), constant_values=NO_STEP)
    joined = next_id == batch.step_id
    maps = through_tokens(settings.gamma * joined, settings.gamma * reward, batch)
    end = jnp.zeros_like(batch.steps.reward)
    return masked.select(at_tokens(maps, end, batch), joined)


ESTIMATOR = Estimator(
    name="reinforce_pp",
    estimate=reinforce_pp,
    level="token",
    critic="none",
    options=("gamma",),
    required=("gamma",),
    normalise="token_batch",
    has_official=True,
    summary="discounted return from each token on, whitened over tokens (REINFORCE++)",
)
