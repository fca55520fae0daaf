"""Each figure on made-up records: its numbers, its words, and what it refuses."""

import csv
import dataclasses
import io
import math

import numpy as np
import pytest

from steppo_jax.figures import (
    cells,
    cost,
    credit_ratio,
    discount,
    dynamics,
    golden,
    main_table,
    registry,
    response_length,
    sweeps,
)
from steppo_jax.figures.result import Missing, Result, csv_text
from tests.study import made_up


def two_methods():
    return [
        *made_up.seeds(3, "steppo", rate=0.8, seconds=2.0),
        *made_up.seeds(3, "grpo", rate=0.4),
    ]


def picked(result: Result, **wanted) -> dict:
    (row,) = [r for r in result.rows if all(r[k] == v for k, v in wanted.items())]
    return row


def success(runs) -> list[float]:
    return [run.last("unseen").mean("success") for run in runs]


MAKERS = {
    "main_table": two_methods,
    "credit_ratio": made_up.square,
    "dynamics": two_methods,
    "golden_steps": two_methods,
    "discount": made_up.discounts,
    "response_length": made_up.lengths,
    "sweeps": made_up.group_sizes,
    "cost": two_methods,
}


@pytest.mark.parametrize("name", registry.FIGURES)
def test_without_its_runs_a_figure_says_what_it_needs(name):
    found = registry.FIGURES[name]([])
    assert isinstance(found, Missing) and "python -m experiments." in found.text()


@pytest.mark.parametrize("name", MAKERS)
def test_every_figure_has_numbers_words_and_a_picture(name):
    found = registry.FIGURES[name](MAKERS[name]())
    assert isinstance(found, Result) and found.name == name
    table = list(csv.DictReader(io.StringIO(csv_text(found.rows))))
    assert len(table) == len(found.rows) > 1
    assert found.shows.endswith(".") and found.limits.endswith(".")
    assert "nan" not in found.shows.lower()
    assert found.comparisons, "every figure compares"
    assert all("smallest detectable difference" in line for line in found.comparisons)
    figure = found.draw()
    assert figure.axes and all(axes.has_data() for axes in figure.axes)


def test_the_main_table_is_the_records():
    runs = two_methods()
    found = main_table.make(runs)
    row = picked(found, method="grpo", panel="unseen")
    assert row["mean"] == pytest.approx(np.mean(success(runs[3:])))
    assert row["seeds"] == 3 and row["seconds"] == 20 and row["episodes"] == 1280
    gap = np.subtract(success(runs[:3]), success(runs[3:])).mean()
    assert f"steppo − grpo on household (unseen): {gap:+.3f}" in found.comparisons[0]


def test_a_moved_preset_is_not_in_the_main_table():
    moved = made_up.seeds(3, "ppo", credit__gamma=1.0)
    found = main_table.tables([*two_methods(), *moved])
    assert list(found["household"]) == ["steppo", "grpo"]


def test_effects_of_credit_and_ratio_by_hand():
    """Rates .7 for step and .5 for token credit, whatever the ratio."""
    runs = made_up.square()
    cells = credit_ratio.square(credit_ratio.of_runs(runs))
    assert len(cells) == 4
    by = {key: np.array(list(cell.values().values())) for key, cell in cells.items()}
    step, token = by["step_gae", "step"], by["token_gae", "step"]
    found = credit_ratio.make(runs)
    assert f"credit +{(step - token).mean():.3f}" in found.shows
    assert "ratio +0.000" in found.shows and "interaction +0.000" in found.shows
    missing = credit_ratio.make(runs[:9])
    assert isinstance(missing, Missing) and "token_gae × step" in missing.needs


def test_dynamics_have_both_axes():
    found = dynamics.make(two_methods())
    row = picked(found, method="steppo", seed=1, iteration=10)
    assert row["episodes"] == 640 and row["seconds"] == pytest.approx(20)
    assert row["critic/loss"] == pytest.approx(0.1 / 1.5)
    assert picked(found, method="grpo", seed=0, iteration=1)["critic/loss"] is None


def test_bins_of_golden_steps_are_never_small():
    steps = np.repeat([2, 3, 4, 5, 9], [12, 4, 7, 30, 1])
    assert golden.bins(steps) == [(2, 2), (3, 4), (5, 9)]
    assert golden.bins(np.array([3, 3])) == [(3, 3)]


def test_extra_steps_count_solved_tasks_only():
    run = made_up.run(rate=0.6)
    columns = run.last("unseen").columns
    here = (columns["golden_steps"] == 2) | (columns["golden_steps"] == 3)
    solved = here & (columns["success"] == 1)
    rate, extra = golden.of_bin(run, 2, 3)
    assert rate == pytest.approx(columns["success"][here].mean())
    expected = (columns["steps"] - columns["golden_steps"])[solved].mean()
    assert extra == pytest.approx(expected) and extra < 4
    least = np.polyfit(columns["golden_steps"], columns["success"], 1)[0]
    assert golden.slope(run) == pytest.approx(least)


def test_discounts_are_compared_at_one_lam():
    found = discount.make(made_up.discounts())
    assert "step_gae: λ=0.95" in found.shows
    assert len(found.rows) == 8
    assert "step_gae − token_gae, change from γ=0.99 to γ=0.9" in found.comparisons[-1]
    assert len(found.draw().axes) == 3  # lines and two heat maps


def test_matched_units_are_recognised():
    step = main_table.of_runs([made_up.run("steppo")])[0]

    def token(gamma, lam):
        run = made_up.run("ppo", credit__gamma=gamma, credit__lam=lam)
        return main_table.of_runs([run])[0]

    implied = response_length.implied_length
    assert implied(step, token(0.99 ** (1 / 30), 0.95 ** (1 / 30))) == pytest.approx(30)
    assert implied(step, token(0.99, 0.95)) is None  # the same numbers
    assert implied(step, token(0.99 ** (1 / 30), 0.95 ** (1 / 20))) is None
    assert implied(step, token(1.0, 0.95 ** (1 / 30))) is None


def test_response_length_tells_three_comparisons_apart():
    found = response_length.make(made_up.lengths())
    row = picked(found, case="fixed", think_tokens=32)
    assert (row["step_gamma"], row["token_gamma"]) == (0.99, 0.99)
    matched = picked(found, case="matched", think_tokens=32)
    assert matched["matched_length"] == pytest.approx(30)
    assert abs(matched["gap"]) < row["gap"]
    best = picked(found, case="best", think_tokens=32)
    assert best["step_gamma"] == 1.0, "γ=1 has the higher rate on the seen panel"
    assert "(tie)" in found.shows


def test_final_lengths_are_those_of_the_last_tenth():
    """Twenty entries: the mean of the last two, and no seed without the metric."""
    told, silent, *_ = made_up.lengths()
    curve = np.array([1.0] * 18 + [4.0, 8.0])
    told = dataclasses.replace(told, metrics={"train/tokens_per_response": curve})
    silent = dataclasses.replace(silent, metrics={})
    (cell,) = cells.of_runs([told, silent])
    assert response_length.final_length(cell) == {told.seed: 6.0}


def test_sweeps_read_the_curve_at_the_cheapest_budget():
    found = sweeps.make(made_up.group_sizes())
    row = picked(found, sweep="rollout.group_size", method="grpo, token ratio", value=8)
    assert row["budget_seconds"] == 20  # of group size 4: 20 iterations of 1 s
    run = made_up.run("grpo", rate=0.4, seconds=2.0)
    assert row["train_success_at_budget"] == pytest.approx(sweeps.at_budget(run, 20))
    assert sweeps.at_budget(run, 20) < sweeps.at_budget(run, 40)


def test_cost_is_the_median_of_warm_iterations():
    row = picked(cost.make(two_methods()), method="steppo")
    assert (row["rollout_seconds"], row["update_seconds"]) == (0.5, 1.5)
    assert row["tokens"] == 64 * 12 * 6


def test_csv_text_is_stable_and_strict():
    rows = [{"a": 1 / 3, "b": "x,y"}, {"a": math.nan, "b": None}]
    assert csv_text(rows) == 'a,b\n0.333333,"x,y"\n,\n'
    with pytest.raises(ValueError, match="differ"):
        csv_text([{"a": 1}, {"b": 1}])
