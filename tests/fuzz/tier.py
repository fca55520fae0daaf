"""How many mutated inputs: hundreds in the ordinary tests, 10,000 in the long tier.

The long tier is `STEPPO_SOAK=1` (scripts/soak.sh), of `STEPPO_INPUTS` inputs a test
where that is set. Both draw the same inputs each time.
"""

import os
from typing import Any

import hypothesis

LONG = os.environ.get("STEPPO_SOAK") == "1"
MOST = int(os.environ.get("STEPPO_INPUTS", 10_000))


def inputs(few: int, many: int = 10_000) -> Any:
    """The decorator of a fuzz test: `few` examples, `many` in the long tier."""
    return hypothesis.settings(
        max_examples=min(many, MOST) if LONG else few,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
