"""The axes of the grid with a line for each value, for --help and the docs.

The values are those of the registries; only the lines stand here, and a value without
one is an error (tests/experiments/test_help_text.py).
"""

from __future__ import annotations

from steppo_jax import credit
from steppo_jax.credit import KINDS, Estimator
from steppo_jax.objective import AGGREGATES, KL_KINDS, RATIOS
from steppo_jax.settings.ranges import CRITICS, KL_PLACES, TIME_LIMITS, TRUNKS

UNUSED = "None"  # of a field that a method does not use

VALUES: dict[str, tuple[str, ...]] = {
    "credit.normalise": KINDS,
    "objective.ratio": RATIOS,
    "objective.aggregate": AGGREGATES,
    "critic.kind": CRITICS,
    "critic.trunk": (UNUSED, *TRUNKS),
    "kl.kind": (UNUSED, *KL_KINDS),
    "kl.place": (UNUSED, *KL_PLACES),
    "env.on_time_limit": TIME_LIMITS,
}

LINES: dict[str, dict[str, str]] = {
    "credit.normalise": {
        "none": "advantages as they are",
        "batch": "whitened, each step counts once (StepPO)",
        "token_batch": "whitened, each response token counts once (PPO)",
        "group": "whitened inside each task, each step counts once",
    },
    "objective.ratio": {
        "token": "one ratio per token",
        "step": "geometric mean over the step's tokens (StepPO; GSPO per step)",
        "step_product": "product over the step's tokens (StepPO v1)",
        "step_calibrated": "centred, divided by √length, restored (CAPO)",
        "trajectory": "geometric mean over the trajectory's tokens (GSPO)",
    },
    "objective.aggregate": {
        "token": "mean over tokens",
        "step": "mean over steps of token means (the official code)",
        "step_sum": "mean over steps of token sums",
        "trajectory": "mean over trajectories of step means (StepPO's paper)",
        "group": "mean over tasks of trajectory means",
        "constant": "token sums over objective.constant (Dr. GRPO)",
    },
    "critic.kind": {
        "none": "no critic",
        "step": "one value per step, at the last prompt token",
        "token": "one value before every response token",
    },
    "critic.trunk": {
        UNUSED: "no critic",
        "own": "a network of its own; a step critic reads the prompt columns only",
        "shared": "a head on the policy's hidden states; its loss, times critic.coef, "
        "trains the trunk too",
    },
    "kl.kind": {
        UNUSED: "no KL to the reference policy",
        "k1": "log π − log π_ref",
        "k2": "half its square",
        "k3": "exp(−k1) − 1 + k1 (the official code)",
    },
    "kl.place": {
        UNUSED: "no KL to the reference policy",
        "loss": "kl.coef · KL added to the loss",
        "reward": "kl.coef · KL taken off the reward of each token",
    },
    "env.on_time_limit": {
        "terminal": "a limit of the task: nothing comes after it",
        "bootstrap": "a limit of the collection: V of the true next state",
    },
}

# Numbers that switch a term on; None or 0 is off.
SWITCHES: dict[str, str] = {
    "objective.dual_clip": "bound c on the loss −cA where A < 0",
    "objective.entropy_coef": "entropy bonus",
    "objective.behaviour_cap": "advantage × min(π_old/μ, cap), μ the sampler's",
    "critic.value_clip": "largest change of V that counts",
    "credit.similarity": "gigpo: texts at least so alike are one anchor state",
    "credit.lam_alpha": "λ = 1 − 1/(α·length) instead of credit.lam (VAPO)",
}


def rows() -> list[tuple[str, str, str]]:
    """(field, value, line) for every value of every axis except credit.estimator."""
    return [
        (field, value, LINES[field][value])
        for field, values in VALUES.items()
        for value in values
    ]


def estimator_lines(entry: Estimator) -> tuple[str, str]:
    """What an estimator is, and in words what it reads, needs and uses."""
    needs = {
        "groups": entry.needs_groups,
        "state keys": entry.needs_state_keys,
        "branching": entry.needs_branching,
    }
    parts = [
        f"{entry.level} level",
        "no critic" if entry.critic == "none" else f"{entry.critic} critic",
    ]
    wanted = [name for name, needed in needs.items() if needed]
    if wanted:
        parts.append("needs " + ", ".join(wanted))
    if entry.options:
        parts.append("uses " + ", ".join(entry.options))
    if entry.has_official:
        parts.append("official twin")
    return entry.summary, "; ".join(parts)


def table() -> str:
    """The axes beside credit.estimator as a Markdown table."""
    lines = [("field", "value", ""), ("---",) * 3]
    lines += [(f"`{field}`", f"`{value}`", line) for field, value, line in rows()]
    lines += [(f"`{field}`", "a number", line) for field, line in SWITCHES.items()]
    official = "the official code's choices, for estimators that have them"
    lines.append(("`credit.official`", "`True`", official))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def estimators() -> list[tuple[str, str, str]]:
    """(name, summary, what it reads, needs and uses) of every estimator."""
    return [(name, *estimator_lines(credit.get(name))) for name in credit.names()]
