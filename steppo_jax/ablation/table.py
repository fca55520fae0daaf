"""What came out: a row per cell, and how it differs from the first one."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.table import Table

from steppo_jax.intervals import Interval, mean_t, smallest_detectable

Record = dict[str, Any]  # of ablation.record


@dataclasses.dataclass(frozen=True)
class Row:
    """One cell on one panel; intervals are Student's over seeds."""

    environment: str
    cell: str
    seeds: int
    before: Interval
    after: Interval  # sampled
    greedy: Interval
    minutes: Interval  # of rollout and update
    base: str  # the cell it is compared with, "" for that one itself
    paired: int  # seeds that both have
    difference: Interval | None
    detectable: float | None  # the smallest true difference likely to be seen


def rows(records: Sequence[Record], panel: str | None = None) -> list[Row]:
    """By cell, in order of appearance; differences to the first of the environment.

    `panel` is the last one of the records if not given.
    """
    by_cell: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        key = (record["environment"]["name"], record["cell"])
        by_cell.setdefault(key, []).append(record)
    out, base = [], {}
    for (environment, cell), found in by_cell.items():
        first = base.setdefault(environment, (cell, found))
        out.append(_row(environment, cell, found, *first, panel))
    return out


def _of(record: Record, panel: str | None, side: str, decoding: str) -> float:
    panels = record["panels"]
    found = panels[panel or list(panels)[-1]][side].get(decoding)
    return float("nan") if found is None else found["success"]


def _row(environment, cell, found, base_cell, base, panel) -> Row:
    def over(side: str, decoding: str) -> Interval:
        return mean_t([_of(record, panel, side, decoding) for record in found])

    def by_seed(records):
        return {r["seed"]: _of(r, panel, "after", "sampled") for r in records}

    mine, theirs = by_seed(found), by_seed(base)
    common = sorted(mine.keys() & theirs.keys()) if cell != base_cell else []
    gaps = np.array([mine[s] - theirs[s] for s in common])
    seconds = [r["rollout_seconds"] + r["update_seconds"] for r in found]
    return Row(
        environment=environment,
        cell=cell,
        seeds=len(found),
        before=over("before", "sampled"),
        after=over("after", "sampled"),
        greedy=over("after", "greedy"),
        minutes=mean_t([s / 60 for s in seconds]),
        base=base_cell if cell != base_cell else "",
        paired=len(common),
        difference=mean_t(gaps) if len(gaps) else None,
        detectable=smallest_detectable(gaps) if len(gaps) > 1 else None,
    )


def plus_minus(x: Interval, form: str = ".3f") -> str:
    """`0.725 ±0.120`; the value alone where there is one seed."""
    half = x.high - x.value
    return f"{x.value:{form}}" + (f" ±{half:{form}}" if np.isfinite(half) else "")


def tables(name: str, made: Sequence[Row]) -> list[Table]:
    """For the terminal, two per environment: the cells, and their differences."""
    out = []
    for environment in dict.fromkeys(row.environment for row in made):
        chosen = [row for row in made if row.environment == environment]
        title = f"{name}, {environment}: success (mean ± half of 95 % t over seeds)"
        cells = _empty(title, "cell", "seeds", "before", "after", "greedy", "minutes")
        for row in chosen:
            success = (plus_minus(x) for x in (row.before, row.after, row.greedy))
            minutes = f"{row.minutes.value:.1f}"
            cells.add_row(row.cell, str(row.seeds), *success, minutes)
        out.append(cells)
        title = f"Differences to {chosen[0].cell}, paired by seed"
        gaps = _empty(title, "cell", "seeds", "mean [95 % t interval]", "detectable")
        for row in chosen[1:]:
            gap = "" if row.difference is None else row.difference.text("+.3f")
            least = "" if row.detectable is None else f"{row.detectable:.3f}"
            gaps.add_row(row.cell, str(row.paired), gap, least)
        gaps.caption = (
            "detectable: the smallest true difference that so many such seeds "
            "would show in four of five trials"
        )
        if len(chosen) > 1:
            out.append(gaps)
    return out


def _empty(title: str, *heads: str) -> Table:
    table = Table(title=title)
    for head in heads:
        table.add_column(head, no_wrap=True)
    return table


def as_csv(made: Sequence[Row]) -> str:
    """The rows with every bound."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    intervals = ("before", "after", "greedy", "minutes", "difference")
    plain = ("environment", "cell", "seeds", "base", "paired", "detectable")
    bounds = [f"{name}{end}" for name in intervals for end in ("", "_low", "_high")]
    writer.writerow([*plain, *bounds])
    for row in made:
        cells = [getattr(row, name) for name in plain]
        for name in intervals:
            x = getattr(row, name)
            cells += [None] * 3 if x is None else [x.value, x.low, x.high]
        writer.writerow(["" if x is None else x for x in cells])
    return stream.getvalue()
