"""What a figure is before it is drawn: numbers, words, and how to draw it."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Result:
    """A figure that the runs allow."""

    name: str
    title: str
    shows: str  # one or two sentences made from the numbers
    limits: str  # what it does not show
    rows: Sequence[Row]  # behind the picture, all with the same keys
    draw: Callable[[], Figure]
    comparisons: Sequence[str] = ()  # one line each, with the detectable difference


@dataclasses.dataclass(frozen=True)
class Missing:
    """A figure that the runs do not allow."""

    name: str
    needs: str
    command: str  # that makes the runs

    def text(self) -> str:
        return f"{self.name}: skipped, it needs {self.needs}; command: {self.command}"


def cell(value: Any) -> str:
    """A number as a CSV has it: six significant digits, nothing for NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def csv_text(rows: Sequence[Row]) -> str:
    """The rows as CSV, the same bytes for the same numbers."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        if list(row) != list(rows[0]):
            raise ValueError(f"columns {list(row)} differ from {list(rows[0])}")
        writer.writerow(cell(value) for value in row.values())
    return file.getvalue()


def sign(value: float, form: str = "+.3f") -> str:
    """`−.012` with a real minus sign."""
    return f"{value:{form}}".replace("-", "−")
