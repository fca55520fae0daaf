"""What is to be measured: one point of the grid."""

from __future__ import annotations

import dataclasses

from steppo_jax.credit import CreditSettings
from steppo_jax.truth.mdp import Discount


@dataclasses.dataclass(frozen=True)
class Trial:
    """An estimator with its options, and what the learner does with it."""

    estimator: str
    gamma: float | None = None
    lam: float | None = None
    divide_by_std: bool | None = None
    official: bool = False
    normalise: str = "none"
    aggregate: str = "constant"
    bootstrap: bool = True  # at a limit that only cuts the collection

    @property
    def discount(self) -> Discount:
        """What the estimator means by γ: per step, or per token (token GAE)."""
        gamma = 1.0 if self.gamma is None else self.gamma
        return Discount(gamma, gamma if self.estimator == "token_gae" else 1.0)

    def settings(self, gamma, lam) -> CreditSettings:
        """CreditSettings with γ and λ possibly traced, left unset where unset here."""
        return CreditSettings(
            gamma=None if self.gamma is None else gamma,
            lam=None if self.lam is None else lam,
            divide_by_std=self.divide_by_std,
            official=self.official,
        )

    def program(self) -> Trial:
        """The trial with its numbers replaced: equal ones share a compiled program."""
        numbers = {
            name: None if getattr(self, name) is None else 0.0
            for name in ("gamma", "lam")
        }
        return dataclasses.replace(
            self, bootstrap=True, aggregate="constant", **numbers
        )
