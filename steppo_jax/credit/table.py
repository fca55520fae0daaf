"""The registry as a Markdown table, for --help and the docs."""

from __future__ import annotations

from steppo_jax.credit import registry
from steppo_jax.credit.base import Estimator

HEAD = ("credit", "level", "critic", "needs", "options", "official", "normalise", "")


def table() -> str:
    """One row for each registered estimator, in the order of registration."""
    lines = [
        HEAD,
        ("---",) * len(HEAD),
        *map(_row, map(registry.get, registry.names())),
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _row(entry: Estimator) -> tuple[str, ...]:
    needs = {
        "groups": entry.needs_groups,
        "state keys": entry.needs_state_keys,
        "branching": entry.needs_branching,
    }
    return (
        f"`{entry.name}`",
        entry.level,
        entry.critic,
        ", ".join(name for name, needed in needs.items() if needed),
        ", ".join(f"`{option}`" for option in entry.options),
        "yes" if entry.has_official else "",
        f"`{entry.normalise}`",
        entry.summary,
    )
