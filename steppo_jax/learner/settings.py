"""A point of the grid as the learner reads it."""

from __future__ import annotations

import dataclasses

from steppo_jax.credit import CreditSettings
from steppo_jax.learner.state import OptimizerSettings
from steppo_jax.objective import ObjectiveSettings


@dataclasses.dataclass(frozen=True)
class KLSettings:
    """A penalty for leaving the reference policy."""

    kind: str  # one of objective.KL_KINDS
    coef: float
    place: str  # "loss", or "reward": subtracted from the reward of each token


@dataclasses.dataclass(frozen=True)
class UpdateSettings:
    """A point of the grid and how it is optimised."""

    estimator: str
    credit: CreditSettings
    normalise: str
    objective: ObjectiveSettings
    aggregate: str
    trajectories: int  # per iteration, over all devices, numbered 0, 1, …
    policy: OptimizerSettings
    critic: OptimizerSettings | None = None  # of a critic with a network of its own
    critic_coef: float | None = None  # of the value loss, on the policy's trunk
    constant: float | None = None
    value_clip: float | None = None
    kl: KLSettings | None = None
    staleness: int = 0  # iterations that the weights of a rollout are old
    behaviour_cap: float | None = None  # most that a token of other weights counts
    critic_warmup: int = 0  # iterations in which only the critic learns
    temperature: float = 1.0
    epochs: int = 1
    minibatches: int = 1
    microbatch: int = 16
    layout: str = "rows"  # rows | packed | merged
    width: int | None = None  # places of a packed sequence; None for rows

    @property
    def policy_objective(self) -> ObjectiveSettings:
        """The objective with the KL term, where that is in the loss."""
        if self.kl is None or self.kl.place != "loss":
            return self.objective
        return dataclasses.replace(
            self.objective, kl=self.kl.kind, kl_coef=self.kl.coef
        )
