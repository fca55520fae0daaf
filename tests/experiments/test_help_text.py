"""--help and the docs list the grid of the registries, all of it, readably."""

import pathlib

import pytest

from experiments import help_text
from steppo_jax import credit, methods, objective, settings
from steppo_jax.settings import grid
from steppo_jax.settings.ranges import RANGES

DOC = pathlib.Path(__file__).parents[2] / "docs" / "estimators.md"


def test_every_value_has_a_line_and_no_line_is_left_over():
    for field, values in grid.VALUES.items():
        assert tuple(grid.LINES[field]) == values, field
    assert set(grid.LINES) == set(grid.VALUES)


@pytest.mark.parametrize("field", grid.VALUES)
def test_the_values_are_those_the_config_accepts(field):
    for value in grid.VALUES[field]:
        if value == grid.UNUSED and settings.FIELDS[field].optional:
            continue
        assert RANGES[field].holds(value)
    listed = RANGES[field].says.removeprefix("must be one of ").split(", ")
    assert set(listed) | {grid.UNUSED} == {*grid.VALUES[field], grid.UNUSED}


def test_help_names_everything():
    text = "\n".join([*help_text.of_grid(), *help_text.of_fields()])
    words = set(text.replace(",", " ").replace("=", " ").split())
    assert words >= set(credit.names()) | set(methods.METHODS)
    assert words >= {*objective.RATIOS, *objective.AGGREGATES, *credit.KINDS}
    assert words >= {*objective.KL_KINDS}
    for name in methods.METHODS:
        assert methods.METHODS[name].summary in " ".join(text.split())
    assert all(f"  {field}: " in text for field in settings.FIELDS)
    for switch in grid.SWITCHES:
        assert switch in settings.FIELDS and f"{switch}: " in text


def test_help_fits_a_narrow_window():
    lines = help_text.of_grid() + help_text.of_fields()
    assert max(map(len, lines)) <= 88
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("table", [methods.table, grid.table])
def test_the_tables_of_the_docs_are_those_of_the_registries(table):
    assert table() in DOC.read_text(encoding="utf-8"), (
        f"docs/estimators.md is old: put the output of {table.__module__}.table() there"
    )


def test_a_new_value_without_a_line_fails(monkeypatch):
    monkeypatch.setitem(grid.VALUES, "objective.ratio", ("token", "segment"))
    with pytest.raises(KeyError, match="segment"):
        grid.rows()
