"""`experiments.credit_truth`: its files, and that every study's rows fit the table."""

import csv
import json

import jax
import pytest
from absl.testing import flagsaver

from steppo_jax import credit, provenance
from steppo_jax.truth import grid, tables
from steppo_jax.truth.chain import chain, thoughtful_logits
from steppo_jax.truth.measure import Laboratory
from steppo_jax.truth.rows import COLUMNS, of_trial
from steppo_jax.truth.trial import Trial
from tests import entry_points

credit_truth = entry_points.load("credit_truth")
its_flags = entry_points.with_flags("credit_truth")


def test_files(tmp_path):
    found = credit_truth.studies(batches=10, seed=0, mdps=["chain"])
    rows = [row for name in ("length", "fixed point") for row in found[name]()]
    origin = {"seed": 3, "episodes": 1280, **provenance.machine()}
    credit_truth.write(tmp_path, rows, "chain", origin)
    with (tmp_path / "credit_truth.csv").open() as file:
        assert next(csv.reader(file)) == list(COLUMNS)
        assert len(file.readlines()) == len(rows)
    record = json.loads((tmp_path / "credit_truth.json").read_text())
    assert record["packages"]["jax"] == jax.__version__
    assert (record["seed"], record["episodes"]) == (3, 1280)
    assert record["command"].startswith("python -m experiments.credit_truth")
    assert len(record["rows"]) == len(rows)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"credit_truth.{x}" for x in ("csv", "json", "md", "png", "svg")}
    assert "closed form" in (tmp_path / "credit_truth.md").read_text()


def test_the_grid_is_the_registry():
    assert {trial.estimator for trial, _ in grid.trials()} == set(credit.names())


def test_a_sampled_measurement_finds_what_theory_says():
    mdp = chain(places=2, max_steps=3, most_thoughts=1)
    lab = Laboratory(mdp, thoughtful_logits(mdp), batches=100, groups=4, group_size=4)
    good = lab.run(Trial("token_gae", 1.0, 1.0), "wrong")
    assert not good.gradient.seen and abs(good.slope[0] - 1) < 4 * good.slope[1]
    bad = lab.run(Trial("token_gae", 1.0, 0.0), "zero")
    assert bad.gradient.seen and bad.advantage.seen and bad.slope[0] < 0.9
    mean = lab.run(Trial("grpo", divide_by_std=False), "zero")
    assert abs(mean.slope[0] - 3 / 4) < 4 * mean.slope[1]  # (G − 1)/G
    row = of_trial("grid", "chain", Trial("rloo"), "none", mean)
    assert set(row) <= set(COLUMNS)


def test_a_number_of_episodes_that_is_no_batch_is_refused(capsys):
    with flagsaver.flagsaver(episodes=1300), pytest.raises(SystemExit):
        credit_truth.main()
    assert "multiple of 128" in capsys.readouterr().err


def test_tables_say_whether_a_bias_was_seen():
    row = {"how": "sampled", "x_bias": 0.0, "x_floor": 0.03, "x_bias_se": None}
    assert tables.bias(row, "x") == "< 0.030"
    row |= {"x_bias": 0.2, "x_floor": None, "x_bias_se": 0.01}
    assert tables.bias(row, "x") == "0.200 ± 0.010"
    assert tables.bias({"how": "exact", "x_bias": 2e-15}, "x") == "2e-15"
