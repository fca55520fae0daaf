"""The clipped policy loss (PPO, arXiv 1707.06347; StepPO, docs/official.md §2)."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.objective.kl import check_kl, kl_estimate
from steppo_jax.objective.ratio import RATIOS, RatioSums, check_inputs, log_ratio
from steppo_jax.objective.sums import LossSums
from steppo_jax.structs import NO_STEP

Number = float | jax.Array


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings:
    """The policy loss. Numbers may be traced; None switches a term off."""

    ratio: str  # one of RATIOS
    clip_low: Number  # the ratio is clipped to [1 − clip_low, 1 + clip_high]
    clip_high: Number
    dual_clip: Number | None = None  # c > 1: the loss of A < 0 is at most −c·A
    entropy_coef: Number | None = None  # − coef · entropy
    kl: str | None = None  # KL to the reference as a loss: one of KL_KINDS
    kl_coef: Number | None = None

    def __post_init__(self):
        if self.ratio not in RATIOS:
            raise ValueError(
                f"ratio={self.ratio!r} is unknown; known: {', '.join(RATIOS)}"
            )
        if isinstance(self.dual_clip, (int, float)) and self.dual_clip <= 1:
            raise ValueError(f"dual_clip={self.dual_clip} must be greater than 1")
        if (self.kl is None) != (self.kl_coef is None):
            raise ValueError(
                f"kl={self.kl!r} and kl_coef={self.kl_coef} go together: both or none"
            )
        if self.kl is not None:
            check_kl(self.kl)


def policy_loss(
    log_prob_SL: jax.Array,
    old_log_prob_SL: jax.Array,
    advantage_SL: jax.Array,
    step_id_SL: jax.Array,
    weight_SL: jax.Array,
    count_SL: jax.Array,
    settings: ObjectiveSettings,
    num_steps: int,
    entropy_SL: jax.Array | None = None,
    *,
    ref_log_prob_SL: jax.Array | None = None,
    ratio_sums: RatioSums | None = None,
    traj_id_B: jax.Array | None = None,
) -> LossSums:
    """Σ weight · [−min(ρA, clip(ρ)A) + kl_coef · KL − entropy_coef · H] and Σ count.

    All tables are `[S, L]`; only tokens with step_id ≥ 0 count, and what stands
    elsewhere (NaN too) never spreads. ρ is one of `ratio.RATIOS`. With `dual_clip`
    c the loss of a token with A < 0 is at most −c·A (arXiv 1912.09729).

    Args:
      weight_SL, count_SL: from `loss_weights`.
      num_steps: rows that `step_id` counts.
      ratio_sums: for the coupled ratios, `objective.ratio_sums` of the same
        log-probs added up over the whole minibatch.
      traj_id_B: `[num_steps]`, for `ratio="trajectory"`.

    Diagnostics (sum, count), weighted by count: ratio, clip_fraction (where the
    clip binds), dual_clip_fraction, approx_kl (k3 of KL(old‖new), per token),
    entropy, kl. Maxima: ratio_max. Raises ValueError for an input that the
    settings need and lack, or that they would ignore.
    """
    check_inputs(settings.ratio, ratio_sums, traj_id_B)
    _check_terms(settings, entropy_SL, ref_log_prob_SL)
    mask = step_id_SL != NO_STEP
    advantage = masked.select(advantage_SL, mask)
    log_rho = log_ratio(
        settings.ratio,
        log_prob_SL,
        old_log_prob_SL,
        step_id_SL,
        num_steps,
        ratio_sums,
        traj_id_B,
    )
    rho = jnp.exp(log_rho)
    free = -advantage * rho
    cut = -advantage * jnp.clip(rho, 1 - settings.clip_low, 1 + settings.clip_high)
    loss = jnp.maximum(free, cut)
    means = {"ratio": rho, "clip_fraction": cut > free}
    if settings.dual_clip is not None:
        most = -advantage * settings.dual_clip
        binds = (advantage < 0) & (loss > most)
        loss = jnp.where(advantage < 0, jnp.minimum(loss, most), loss)
        means["dual_clip_fraction"] = binds
    log_prob = masked.select(log_prob_SL, mask)
    old_log_prob = masked.select(old_log_prob_SL, mask)
    means["approx_kl"] = kl_estimate("k3", old_log_prob, log_prob)
    if settings.kl is not None:
        reference = masked.select(ref_log_prob_SL, mask)
        means["kl"] = kl_estimate(settings.kl, log_prob, reference)
        loss = loss + settings.kl_coef * means["kl"]
    if entropy_SL is not None:
        means["entropy"] = masked.select(entropy_SL, mask)
        if settings.entropy_coef is not None:
            loss = loss - settings.entropy_coef * means["entropy"]
    weight, count = masked.select(weight_SL, mask), masked.select(count_SL, mask)
    total = count.sum()
    return LossSums(
        loss=(weight * masked.select(loss, mask)).sum(),
        count=total,
        diagnostics={
            name: (jax.lax.stop_gradient((count * x).sum()), total)
            for name, x in means.items()
        },
        maxima={"ratio_max": jax.lax.stop_gradient(masked.select(rho, mask).max())},
    )


def _check_terms(settings, entropy_SL, ref_log_prob_SL):
    if settings.entropy_coef is not None and entropy_SL is None:
        raise ValueError("entropy_coef is set: pass entropy_SL")
    if (settings.kl is None) != (ref_log_prob_SL is None):
        raise ValueError(
            f"kl={settings.kl!r}: ref_log_prob_SL goes with a kind of KL, both or none"
        )
