"""What --help prints: the job, its flags, and the grid from its registries."""

from __future__ import annotations

import sys
import textwrap

from absl import flags

from steppo_jax import methods
from steppo_jax.settings import FIELDS, grid
from steppo_jax.settings.ranges import RANGES

WIDTH = 88


def of_job() -> str:
    """The text for the entry point that runs."""
    lines = [sys.modules["__main__"].__doc__ or "", flags.FLAGS.main_module_help()]
    if "config" in flags.FLAGS:
        lines += ["", *of_grid(), "", *of_fields()]
    return "\n".join(lines)


def of_grid() -> list[str]:
    """The methods, then every value of every axis."""
    lines = ["Methods (--config=FILE.py:METHOD), named points of the grid:"]
    summaries = {name: method.summary for name, method in methods.METHODS.items()}
    lines += _columns(summaries.items())
    lines += ["", "The grid. What does not fit together is refused before compiling."]
    lines.append("--config.credit.estimator=")
    for name, summary, uses in grid.estimators():
        lines += [*_columns([(name, summary)]), *_columns([("", uses)])]
    field = ""
    for axis, value, line in grid.rows():
        if axis != field:
            lines.append(f"--config.{axis}=")
            field = axis
        lines += _columns([(value, line)])
    return lines


def of_fields() -> list[str]:
    """Every field: type, default and rule."""
    lines = ["Fields (--config.FIELD=VALUE); a method sets those without a default:"]
    for name, field in FIELDS.items():
        default = "" if field.default is None else f" = {_text(field.default)}"
        rule = RANGES[name].says.removeprefix("must ").removeprefix("be ")
        lines += _columns([(f"{name}: {field.kind.__name__}{default}", rule)], 42)
    return lines


def _text(default) -> str:
    """A default as it is written on the command line."""
    return "+".join(default) if isinstance(default, tuple) else str(default)


def _columns(pairs, at: int = 26) -> list[str]:
    """Name and text side by side, the text wrapped and hanging from column `at`."""
    lines = []
    for name, text in pairs:
        first = f"  {name}".ljust(at - 1) + " "
        if len(first) > at:
            lines.append(first.rstrip())
            first = " " * at
        wrapped = textwrap.wrap(text, WIDTH - at) or [""]
        lines.append((first + wrapped[0]).rstrip())
        lines += [" " * at + more for more in wrapped[1:]]
    return lines
