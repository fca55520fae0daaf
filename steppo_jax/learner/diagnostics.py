"""What an iteration says about itself: scalars, already added over devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked, objective
from steppo_jax.learner import guard
from steppo_jax.learner.gradients import Tables
from steppo_jax.parallel import Axis
from steppo_jax.structs import Steps


def of_batch(
    axis: Axis,
    steps: Steps,
    tables: Tables,
    entropy_SL: jax.Array,
    with_critic: bool,
    num_updates: jax.Array,
) -> dict[str, jax.Array]:
    """Of the data as collected, before any update.

    `sampler_gap_*` is |log π_old − log μ|: how far the learner's log-probs are from
    the ones recorded while sampling with the same weights. It should be rounding.
    `data/staleness_*` counts the optimizer steps that were taken since a token was
    sampled.
    """
    tokens = tables.tokens
    mask = tokens.response_mask
    gap = jnp.abs(tables.old_log_prob - tokens.behaviour_log_prob)

    def mean(x, where):
        return masked.mean(x, where, axis.sum)

    num_steps = axis.sum(steps.valid.sum().astype(masked.real()))
    num_tokens = axis.sum(mask.sum().astype(masked.real()))
    used = axis.sum((tokens.segment > 0).sum().astype(masked.real()))
    stale = jnp.where(mask, num_updates - tokens.policy_version, 0)
    metrics = {
        "data/staleness_mean": mean(stale.astype(masked.real()), mask),
        "data/staleness_max": axis.max(stale.max()),
        "policy/entropy": mean(entropy_SL, mask),
        "policy/sampler_gap_mean": mean(gap, mask),
        "policy/sampler_gap_max": axis.max(masked.select(gap, mask).max()),
        "policy/advantage_abs": mean(jnp.abs(tables.advantage), mask),
        "train/tokens_per_response": masked.divide(num_tokens, num_steps),
        "data/steps": num_steps,
        "data/tokens": num_tokens,
        "data/padding_fraction": 1 - used / (tokens.segment.size * axis.size),
    }
    if tables.behaviour is not None:
        weight, cut = tables.behaviour
        metrics["policy/behaviour_weight_mean"] = mean(weight, mask)
        metrics["policy/behaviour_cut"] = mean(cut.astype(masked.real()), mask)
    if with_critic:
        value, target = tables.old_value, tables.target
        valued = mask if tables.per_token else steps.valid
        metrics |= {
            "critic/value_mean": mean(value, valued),
            "critic/target_mean": mean(target, valued),
            "critic/explained_variance": objective.explained_variance(
                value, target, valued, axis.sum
            ),
        }
    return metrics


NAMES = {"approx_kl": "kl", "ratio": "ratio_mean"}  # of diagnostics, as metrics


def of_minibatches(parts: dict) -> dict[str, jax.Array]:
    """Of the optimizer steps: means over all minibatches, weighted by their counts.

    Entropy is left out: `of_batch` has it before any update.
    """
    metrics = {}
    for network, (sums, norm) in parts.items():
        found = {"loss": (sums.loss, sums.count)} | sums.diagnostics
        found.pop("entropy", None)
        for name, (total, count) in found.items():
            mean = masked.divide(total.sum(), count.sum())
            metrics[f"{network}/{NAMES.get(name, name)}"] = mean
        for name, x in sums.maxima.items():
            metrics[f"{network}/{name}"] = x.max()
        metrics[f"{network}/grad_norm"] = norm.mean()
        skipped = ~guard.finite(sums, norm)
        metrics[f"{network}/skipped"] = skipped.sum().astype(masked.real())
    return metrics
