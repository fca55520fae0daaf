"""Which estimators are held against the truth, and with which λ."""

from __future__ import annotations

import dataclasses

from steppo_jax import credit
from steppo_jax.credit import CreditSettings

STEP_LAMS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
TOKEN_LAMS = (0.5, 0.8, 0.9, 0.95, 0.98, 1.0)  # per token: nearer to 1 for one reach
LAMS = {"step_gae": STEP_LAMS, "bi_level_gae": STEP_LAMS, "token_gae": TOKEN_LAMS}
# γ = 1 everywhere: the truth is the change in expected return, and a γ per token and
# one per step mean the same.
OPTIONS = {
    "gamma": 1.0,
    "token_gamma": 1.0,
    "divide_by_std": True,
    "step_weight": 1.0,
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """An estimator with one λ, or with none."""

    estimator: str
    lam: float | None

    @property
    def name(self) -> str:
        return self.estimator if self.lam is None else f"{self.estimator} λ={self.lam}"


def trials() -> list[Trial]:
    """Every estimator of the registry with each of its λ."""
    return [
        Trial(name, lam)
        for name in credit.names()
        for lam in (LAMS[name] if "lam" in credit.get(name).options else (None,))
    ]


def settings(name: str, lam) -> CreditSettings:
    """Settings of an estimator; `lam` may be traced, and is left out where unused."""
    known = credit.get(name).options
    given = {option: x for option, x in OPTIONS.items() if option in known}
    return CreditSettings(**given, lam=lam if "lam" in known else None)
