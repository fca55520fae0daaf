"""Figures by name, in the order of the paper's list."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from steppo_jax.errors import Refused
from steppo_jax.figures import (
    case,
    cost,
    credit_ratio,
    discount,
    dynamics,
    golden,
    main_table,
    response_length,
    sweeps,
)
from steppo_jax.figures.result import Missing, Result
from steppo_jax.study.run import Run

FIGURES: dict[str, Callable[[Sequence[Run]], Result | Missing]] = {
    module.NAME: module.make
    for module in (
        main_table,
        credit_ratio,
        dynamics,
        golden,
        discount,
        response_length,
        sweeps,
        case,
        cost,
    )
}


def chosen(names: Sequence[str]) -> list[str]:
    """`names`, or all of them where none is given. Raises Refused for unknown ones."""
    for name in names:
        if name not in FIGURES:
            near = difflib.get_close_matches(name, FIGURES, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise Refused(
                f"--figure={name} is unknown; {hint}known: {', '.join(FIGURES)}"
            )
    return list(names) or list(FIGURES)
