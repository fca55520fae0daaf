"""Few cells of a grid that hold every pair of values which can stand together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Cell = dict[str, Any]
Pair = frozenset  # of two (axis, value)


def pairs(cell: Mapping[str, Any]) -> Iterator[Pair]:
    """Every pair of (axis, value) in a cell."""
    return map(frozenset, itertools.combinations(cell.items(), 2))


def wanted(cores: Sequence[Cell], free: Mapping[str, Sequence[Any]]) -> set[Pair]:
    """Every pair that stands in some cell."""
    single = {item for core in cores for item in core.items()}
    singles = [[(axis, value) for value in values] for axis, values in free.items()]
    found = {pair for core in cores for pair in pairs(core)}
    for axis in singles:
        found |= {frozenset(p) for p in itertools.product(single, axis)}
    for one, two in itertools.combinations(singles, 2):
        found |= {frozenset(p) for p in itertools.product(one, two)}
    return found


def cover(cores: Sequence[Cell], free: Mapping[str, Sequence[Any]]) -> list[Cell]:
    """Cells that hold every wanted pair, found greedily; the richest come first.

    Args:
      cores: the allowed combinations of the axes that constrain each other.
      free: the axes that go with everything.
    """
    missing = wanted(cores, free)
    cells: list[Cell] = []
    while missing:
        best = max(
            (_filled(core, free, missing) for core in cores),
            key=lambda cell: sum(pair in missing for pair in pairs(cell)),
        )
        cells.append(best)
        missing -= set(pairs(best))
    return cells


def _filled(core: Cell, free: Mapping[str, Sequence[Any]], missing: set[Pair]) -> Cell:
    """The core with the value of each free axis that meets most missing pairs."""
    cell, left = dict(core), dict(free)
    while left:
        gain, axis, value = max(
            (
                (
                    sum(frozenset((item, (a, v))) in missing for item in cell.items()),
                    a,
                    v,
                )
                for a, values in left.items()
                for v in values
            ),
            key=lambda found: found[0],
        )
        if gain == 0:  # all of it is met: what is rarest among the pairs to come
            value = max(
                left[axis], key=lambda v: sum((axis, v) in pair for pair in missing)
            )
        cell[axis] = value
        del left[axis]
    return cell
