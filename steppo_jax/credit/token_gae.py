"""Token GAE: the credit of PPO for language models (method.md §2.4, row PPO)."""

from __future__ import annotations

from steppo_jax import masked
from steppo_jax.credit import lam
from steppo_jax.credit.base import Credit, CreditBatch, CreditSettings, Estimator
from steppo_jax.credit.carry import at_tokens, through_steps, through_tokens
from steppo_jax.credit.segments import timeline


def token_gae(batch: CreditBatch, settings: CreditSettings) -> Credit:
    """GAE over the concatenated response tokens of a trajectory, γ and λ per token.

    A_i = r_i + γ V_{i+1} − V_i + γλ A_{i+1} = r_i − V_i + c_i,
    c_i = γ V_{i+1} + γλ A_{i+1}, hence c_{i−1} = γ(1−λ) V_i + γλ r_i + γλ c_i.

    c is carried backwards through tokens and steps; prompt and tool tokens do not
    advance it. Beyond the end c is 0 after termination and γ `next_value` after
    truncation (official: 0). V_i `[S, L]` is the value before token i. A step
    without tokens hands c on and adds its reward (official: loses it).
    """
    gamma, mask = settings.gamma, batch.response_mask
    line = timeline(batch.steps)
    decay = gamma * batch.to_tokens(
        lam.lam_by_step(batch, settings, line, batch.num_tokens())
    )
    value = masked.select(batch.token_value, mask)
    reward = masked.select(batch.token_reward, mask)
    maps = through_tokens(decay, (gamma - decay) * value + decay * reward, batch)
    end = gamma * batch.value_beyond(settings.official)
    entering = through_steps(
        maps.whole, end, batch, line, silent_gamma=1, official=settings.official
    )
    carried = at_tokens(maps, entering, batch)
    advantage = masked.select(reward - value + carried, mask)
    return Credit(advantage, advantage + value)


ESTIMATOR = Estimator(
    name="token_gae",
    estimate=token_gae,
    level="token",
    critic="token",
    options=("gamma", *lam.CHOICE),
    required=("gamma", lam.CHOICE),
    normalise="token_batch",
    has_official=True,
    summary="GAE over the response tokens of the trajectory (PPO)",
)
