"""Token GAE: the credit of PPO for language models (method.md §2.4, row PPO).

The recursion runs over the concatenated response tokens of a trajectory; prompt
and tool tokens do not advance it. It is split in two scans, so that tokens may be
laid out in any way: inside each step along its sequence, and over steps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.segments import following, reverse_scan, timeline
from steppo_jax.credit.within_step import suffix_maps


def token_gae(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """GAE over response tokens i = 1..n of a trajectory, γ and λ per token.

    A_i = r_i + γ V_{i+1} − V_i + γλ A_{i+1} = r_i − V_i + c_i,
    c_i = γ V_{i+1} + γλ A_{i+1}, hence c_{i−1} = γ(1−λ) V_i + γλ r_i + γλ c_i.

    c is carried through the tokens of a step and then from step to step; beyond
    the end c = γ V is 0 after termination and γ `next_value` after truncation
    (official: 0). V_i `[S, L]` is the value before token i. A step without tokens
    hands c on and adds its reward (official: loses it).
    """
    gamma, decay = settings.gamma, settings.gamma * settings.lam
    mask = batch.response_mask
    value = masked.select(batch.token_value, mask)
    reward = masked.select(batch.token_reward, mask)
    a = jnp.full_like(value, decay)
    b = (gamma - decay) * value + decay * reward
    after, whole = suffix_maps(a, b, batch)
    entering = _entering_from_next_step(whole, batch, settings)
    a_after, b_after = after
    c = b_after + a_after * batch.to_tokens(entering)
    advantage = masked.select(reward - value + c, mask)
    return Credit(advantage, advantage + value)


def _entering_from_next_step(
    whole: tuple[jax.Array, jax.Array], batch: CreditBatch, settings: CreditSettings
) -> jax.Array:
    """[B] c that enters each step from behind: c_t = B_{t+1} + K_{t+1} c_{t+1}."""
    line = timeline(batch.steps)
    factor, offset = whole
    silent = batch.num_tokens() == 0
    factor = jnp.where(silent, 1, factor)
    offset = jnp.where(silent, batch.step_reward(settings.official), offset)
    end = settings.gamma * batch.value_beyond(settings.official)
    # At the last step the map is applied to `end`; before it, to the step after.
    through = reverse_scan(
        factor, jnp.where(line.is_last, offset + factor * end, offset), line
    )
    return following(through, line, end)


ESTIMATOR = Estimator(
    name="token_gae",
    estimate=token_gae,
    level="token",
    critic="token",
    options=("gamma", "lam"),
    required=("gamma", "lam"),
    normalise="token_batch",
    summary="GAE over the response tokens of the trajectory (PPO)",
)
