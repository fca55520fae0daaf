"""Bi-level GAE (RAGEN; VAGEN, arXiv 2510.16907).

Biased for λ < 1 even with the exact critic where a response may end after any token:
which token is last depends on what it says, so the value before it does not average
to V(s) (docs/credit_truth.md).
"""

from __future__ import annotations

from steppo_jax import masked
from steppo_jax.credit import lam
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.carry import at_tokens, through_steps, through_tokens
from steppo_jax.credit.segments import timeline


def bi_level_gae(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """GAE over steps between last response tokens, then over tokens inside a step.

    outer: A_{t,J} = r_{t,J} + γ (ρ_{t+1} + V_{t+1,J'}) − V_{t,J} + γλ A_{t+1,J'}
    inner: A_{t,i} = r_{t,i} + κ V_{t,i+1} − V_{t,i} + κλ A_{t,i+1}

    V_{t,i} is the value before token i, J the last token of step t, γ = `gamma`
    per step, κ = `token_gamma` per token (1 if unset), ρ_{t+1} the rewards on the
    tokens of step t+1 before J' (0 unless KL is in the reward). Equals token GAE
    at γ = κ = λ = 1, for any rewards. A step ends at its last response token, not
    at a non-zero reward, so steps with reward 0 are not lost.
    """
    gamma, mask = settings.gamma, batch.response_mask
    kappa = 1.0 if settings.token_gamma is None else settings.token_gamma
    line = timeline(batch.steps)
    lam_B = lam.lam_by_step(batch, settings, line, batch.num_tokens())
    value, reward = batch.token_value, batch.token_reward
    decay = kappa * batch.to_tokens(lam_B)
    maps = through_tokens(decay, (kappa - decay) * value + decay * reward, batch)
    # c = γ (ρ + V + λ A) at a last token enters the step before; A = r − V + c'.
    last_value, last_reward = (batch.at(x, maps.last) for x in (value, reward))
    inner_reward = batch.per_step(masked.select(reward, ~batch.mark(maps.last)))
    offset = inner_reward + (1 - lam_B) * last_value + lam_B * last_reward
    end = gamma * batch.value_beyond(settings.official)
    outer = (gamma * lam_B, gamma * offset)
    entering = through_steps(
        outer, end, batch, line, silent_gamma=gamma, official=settings.official
    )
    carried = at_tokens(maps, entering, batch)
    target = reward + carried
    return Credit(masked.select(target - value, mask), masked.select(target, mask))


ESTIMATOR = Estimator(
    name="bi_level_gae",
    estimate=bi_level_gae,
    level="token",
    critic="token",
    options=("gamma", "token_gamma", *lam.CHOICE),
    required=("gamma", lam.CHOICE),
    normalise="token_batch",
    summary="GAE over steps, then over the tokens inside each (RAGEN, VAGEN)",
)
