"""One flat row for each thing measured: what the table and the CSV are made of."""

from __future__ import annotations

from typing import Any

from steppo_jax.truth.measure import Measured
from steppo_jax.truth.statistics import Gap
from steppo_jax.truth.trial import Trial

Row = dict[str, Any]

COLUMNS = (
    "part",  # which study: see experiments/credit_truth.py
    "mdp",
    "case",  # what is varied besides the columns below
    "x",  # its number, where it has one
    "estimator",
    "gamma",
    "lam",
    "critic",
    "normalise",
    "aggregate",
    "how",  # exact (all episodes, or dynamic programming) or sampled
    "advantage_bias",  # root mean square over (t, state, response), at its own γ
    "advantage_bias_se",  # standard error, where the bias was seen …
    "advantage_floor",  # … and else the smallest bias that would have shown
    "advantage_std",  # spread of one advantage around its conditional mean
    "gradient_bias",  # ‖E g − aim‖/‖aim‖, aim: the gradient at the estimator's γ
    "gradient_bias_se",
    "gradient_floor",
    "gradient_std",  # √trace of the covariance/‖aim‖: of a batch, exact: an episode
    "task_bias",  # ‖E g − ∇J‖/‖∇J‖, ∇J of what the task pays
    "task_bias_se",
    "task_floor",
    "slope",  # E g·aim/‖aim‖²
    "slope_se",
    "cosine",  # between E g and ∇J
    "cosine_se",
    "length_cosine",  # between E g and the gradient of the mean response length
    "length_cosine_se",
    "value",  # a number of the study's own
    "expected",  # what theory says it is
)


def of_trial(
    part: str, mdp: str, trial: Trial, critic: str, found: Measured, **more: Any
) -> Row:
    """The row of a sampled trial."""
    name = trial.estimator
    name += {None: "", False: ", mean only", True: ", std"}[trial.divide_by_std]
    name += ", official" if trial.official else ""
    return {
        "part": part,
        "mdp": mdp,
        "estimator": name,
        "gamma": trial.gamma,
        "lam": trial.lam,
        "critic": critic,
        "normalise": trial.normalise,
        "aggregate": trial.aggregate,
        "how": "sampled",
        **_gap("advantage", found.advantage),
        "advantage_std": found.advantage.std,
        **_gap("gradient", found.gradient),
        "gradient_std": found.gradient.std,
        **_gap("task", found.task),
        "slope": found.slope[0],
        "slope_se": found.slope[1],
        "cosine": found.cosine[0],
        "cosine_se": found.cosine[1],
        "length_cosine": found.length[0],
        "length_cosine_se": found.length[1],
        **more,
    }


def _gap(name: str, gap: Gap) -> Row:
    return {
        f"{name}_bias": gap.bias,
        f"{name}_bias_se": gap.bias_se,
        f"{name}_floor": gap.floor,
    }
