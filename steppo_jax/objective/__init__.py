"""From advantages to losses: ratio, clip, KL, weights. Pure sums, never means.

Losses are sums with the count they are to be divided by. The learner adds both
over micro-batches and devices and divides once.
"""

from steppo_jax.objective.behaviour import behaviour_weight
from steppo_jax.objective.kl import KL_KINDS, kl_estimate, kl_in_reward
from steppo_jax.objective.policy import ObjectiveSettings, policy_loss
from steppo_jax.objective.ratio import COUPLED, RATIOS, RatioSums, ratio_sums
from steppo_jax.objective.rows import from_rows
from steppo_jax.objective.sums import LossSums, merge, over_devices
from steppo_jax.objective.value import explained_variance, value_loss
from steppo_jax.objective.weights import AGGREGATES, loss_weights, step_weights

__all__ = [
    "AGGREGATES",
    "COUPLED",
    "KL_KINDS",
    "RATIOS",
    "LossSums",
    "ObjectiveSettings",
    "RatioSums",
    "behaviour_weight",
    "explained_variance",
    "from_rows",
    "kl_estimate",
    "kl_in_reward",
    "loss_weights",
    "merge",
    "over_devices",
    "policy_loss",
    "ratio_sums",
    "step_weights",
    "value_loss",
]
