"""A table of text cells, and how a number is written in one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from rich.table import Table as RichTable

from steppo_jax.truth.rows import Row


@dataclasses.dataclass(frozen=True)
class Table:
    """Text cells under a header, with a line that says what they are."""

    title: str
    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]

    def rich(self) -> RichTable:
        """For the terminal."""
        table = RichTable(title=self.title, title_justify="left")
        for name in self.header:
            table.add_column(name, no_wrap=False)
        for line in self.body:
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        """For the docs."""
        lines = [self.header, ["---"] * len(self.header), *self.body]
        cells = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"**{self.title}**\n\n{cells}\n"


def bias(row: Row, name: str) -> str:
    """`0.056 ± 0.005`, `< 0.024` where none was seen, `2e-15` where it is exact."""
    found = row[f"{name}_bias"]
    if row["how"] == "exact":
        return number(found)
    if row.get(f"{name}_floor") is not None:
        return f"< {row[f'{name}_floor']:.3f}"
    return f"{found:.3f} ± {row[f'{name}_bias_se']:.3f}"


def number(x: float | str | None) -> str:
    """Three decimals, or a power of ten where that is all there is to say."""
    if x is None:
        return "–"
    if isinstance(x, str):
        return x
    return f"{x:.0e}" if 0 < abs(x) < 5e-4 else f"{x:.3f}"


def pair(row: Row, name: str) -> str:
    """A number with its standard error."""
    if row.get(name) is None:
        return "–"
    return f"{row[name]:.3f} ± {row[f'{name}_se']:.3f}"


def text(x) -> str:
    """A setting: `1`, `0.95`, `exact`, or – where there is none."""
    return "–" if x is None else f"{x:g}" if isinstance(x, int | float) else str(x)


def lines(body: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """The body of a table."""
    return tuple(tuple(line) for line in body)
