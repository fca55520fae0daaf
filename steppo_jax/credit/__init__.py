"""Credit assignment: from rewards and values to advantages and value targets."""

from steppo_jax.credit.base import (
    Credit,
    CreditBatch,
    CreditSettings,
    Estimator,
)
from steppo_jax.credit.normalise import KINDS, normalise
from steppo_jax.credit.registry import check, estimate, get, names, register
from steppo_jax.credit.rows import from_rows
from steppo_jax.credit.similarity import state_keys
from steppo_jax.credit.table import table

__all__ = [
    "KINDS",
    "Credit",
    "CreditBatch",
    "CreditSettings",
    "Estimator",
    "check",
    "estimate",
    "from_rows",
    "get",
    "names",
    "normalise",
    "register",
    "state_keys",
    "table",
]
