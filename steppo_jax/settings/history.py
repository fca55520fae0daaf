"""What fields meant before they existed, so that older run folders stay readable."""

from __future__ import annotations

from typing import Any

# Dotted name of a field added after version 0.1 → the value that does what runs did
# before it. Only these may be missing from a stored config.
ADDED: dict[str, Any] = {
    "context.policy": "rebuilt",
    "context.turns": None,
    "credit.official": False,
    "credit.similarity": None,
    "branching.branches": None,
    "branching.gamma": None,
    "critic.trunk": "own",
    "critic.coef": None,
    "critic.scale": 1.0,
}
