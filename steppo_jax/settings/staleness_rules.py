"""The rules of data that is older than the weights that learn from it."""

from __future__ import annotations

from steppo_jax.settings.errors import refuse
from steppo_jax.settings.needed import Values


def check(values: Values) -> None:
    """Stale data is corrected, and its gap to the sampler is no sign of a defect."""
    stale = values["rollout.staleness"]
    if not stale:
        return
    user = f"rollout.staleness={stale}"
    if values["objective.behaviour_cap"] is None:
        rule = f"{user} learns from data of older weights, which it must correct"
        remedy = "set --config.objective.behaviour_cap=2 or so"
        raise refuse("objective.behaviour_cap", None, rule, remedy)
    gap = values["guards.sampler_gap"]
    if gap is not None:
        rule = f"{user}: older weights sampled, so a gap is expected and no defect"
        remedy = "set guards.sampler_gap=None and guards.gap_patience=None"
        raise refuse("guards.sampler_gap", gap, rule, remedy)
