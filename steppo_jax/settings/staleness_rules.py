"""The rules of data that is older than the weights that learn from it."""

from __future__ import annotations

from steppo_jax.settings.errors import refuse
from steppo_jax.settings.needed import Values


def check(values: Values) -> None:
    """Stale data is corrected, and its gap to the sampler is no sign of a defect."""
    beside, lag = values["rollout.staleness"], values["gateway.staleness"]
    if lag is not None and beside:
        rule = f"gateway.staleness={lag} says how old rows from outside may be"
        raise refuse("rollout.staleness", beside, rule, "set 0")
    if not (beside or lag):
        return
    user = f"gateway.staleness={lag}" if lag else f"rollout.staleness={beside}"
    if values["objective.behaviour_cap"] is None:
        rule = f"{user} learns from data of older weights, which it must correct"
        remedy = "set --config.objective.behaviour_cap=2 or so"
        raise refuse("objective.behaviour_cap", None, rule, remedy)
    gap = values["guards.sampler_gap"]
    if gap is not None:
        rule = f"{user}: older weights sampled, so a gap is expected and no defect"
        remedy = "set guards.sampler_gap=None and guards.gap_patience=None"
        raise refuse("guards.sampler_gap", gap, rule, remedy)
