"""What an iteration says about itself: scalars, already added over devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.learner.gradients import Tables
from steppo_jax.parallel import Axis
from steppo_jax.structs import Steps


def of_batch(
    axis: Axis, steps: Steps, tables: Tables, entropy_SL: jax.Array, with_critic: bool
) -> dict[str, jax.Array]:
    """Of the data as collected, before any update.

    `sampler_gap_*` is |log π_old − log μ|: how far the learner's log-probs are from
    the ones recorded while sampling with the same weights. It should be rounding.
    """
    tokens = tables.tokens
    mask = tokens.response_mask
    gap = jnp.abs(tables.old_log_prob - tokens.behaviour_log_prob)

    def mean(x, where):
        return masked.mean(x, where, axis.sum)

    num_steps = axis.sum(steps.valid.sum().astype(jnp.float32))
    num_tokens = axis.sum(mask.sum().astype(jnp.float32))
    used = axis.sum((tokens.segment > 0).sum().astype(jnp.float32))
    metrics = {
        "policy/entropy": mean(entropy_SL, mask),
        "policy/sampler_gap_mean": mean(gap, mask),
        "policy/sampler_gap_max": axis.max(masked.select(gap, mask).max()),
        "policy/advantage_abs": mean(jnp.abs(tables.advantage), mask),
        "train/tokens_per_response": masked.divide(num_tokens, num_steps),
        "data/steps": num_steps,
        "data/tokens": num_tokens,
        "data/padding_fraction": 1 - used / (tokens.segment.size * axis.size),
    }
    if with_critic:
        value, target = tables.old_value, tables.target
        valued = mask if tables.per_token else steps.valid
        metrics |= {
            "critic/value_mean": mean(value, valued),
            "critic/target_mean": mean(target, valued),
            "critic/explained_variance": explained_variance(
                value, target, valued, axis
            ),
        }
    return metrics


def explained_variance(value, target, mask, axis: Axis) -> jax.Array:
    """1 − Var(target − value) / Var(target) over mask; 0 where the target is constant."""
    _, unexplained = masked.moments(target - value, mask, total=axis.sum)
    _, variance = masked.moments(target, mask, total=axis.sum)
    return jnp.where(variance > 0, 1 - masked.divide(unexplained, variance), 0.0)


def of_minibatches(parts: dict) -> dict[str, jax.Array]:
    """Of the optimizer steps: means over all minibatches, weighted by their counts."""
    sums, norm = parts["policy"]
    metrics = {f"policy/{name}": x for name, x in sums.means().items()}
    metrics["policy/grad_norm"] = norm.mean()
    if "critic" in parts:
        loss, count, critic_norm = parts["critic"]
        metrics["critic/loss"] = masked.divide(loss.sum(), count.sum())
        metrics["critic/grad_norm"] = critic_norm.mean()
    return metrics
