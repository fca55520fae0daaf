"""The cover of a grid: every pair that can stand together, in few cells."""

import itertools

from tests.grid import pairwise

FREE = {"a": (1, 2, 3), "b": ("x", "y"), "c": (False, True)}
CORES = [{"d": 0, "e": None}, {"d": 1, "e": "p"}, {"d": 1, "e": "q"}]


def test_all_pairs_are_there_and_no_impossible_one():
    cells = pairwise.cover(CORES, FREE)
    held = {pair for cell in cells for pair in pairwise.pairs(cell)}
    everything = [
        core | dict(zip(FREE, values))
        for core in CORES
        for values in itertools.product(*FREE.values())
    ]
    assert held == {pair for cell in everything for pair in pairwise.pairs(cell)}
    assert frozenset({("d", 0), ("e", "p")}) not in held
    assert all(cell in everything for cell in cells)


def test_it_is_short_and_always_the_same():
    cells = pairwise.cover(CORES, FREE)
    assert cells == pairwise.cover(CORES, FREE)
    assert 9 <= len(cells) <= 12  # 3 cores × 3 values at least; the grid has 36
