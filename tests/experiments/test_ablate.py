"""The ablation of credit and ratio from end to end, in its smoke form: the two cells
that differ most (each costs programs of its own).
"""

import csv
import json

import pytest

from steppo_jax import comparison
from steppo_jax.ablation import grid
from steppo_jax.errors import Refused
from tests import entry_points
from tests.test_entry import assert_refused, start

ablate = entry_points.load("ablate")

BAD = """
from configs.ablations import common


def get_config(arg=""):
    cells = {"fine": "household:ppo", "bad": "household:ppo,critic.kind=none"}
    return common.build("x", arg, cells)
"""
FILE = "configs/ablations/credit_ratio.py:smoke"
CELLS = ["step_gae-step_ratio", "token_gae-token_ratio"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("credit_ratio")
    ablation = ablate.load(FILE).only(CELLS, [])
    ablate.make(ablation, folder, jobs=1, lanes=1)
    return ablation, folder


def test_bad_cells_are_refused_before_anything_runs(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(BAD)
    done = start("ablate", f"--config={path}", f"--workdir={tmp_path / 'runs'}")
    assert_refused(done, "cell bad (", "critic.kind='none'")
    assert not (tmp_path / "runs").exists()


def test_it_ends_with_one_table(finished, capsys):
    ablation, folder = finished
    ablate.show(ablation, folder, None)
    said = capsys.readouterr().out
    for cell in ablation.cells:
        assert cell.name in said
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["cell"] for row in rows] == [cell.name for cell in ablation.cells]
    assert [row["paired"] for row in rows] == ["0", "2"]


def test_what_is_finished_is_skipped(finished, capsys):
    ablation, folder = finished
    stamps = {p: p.stat().st_mtime_ns for p in folder.rglob("*.json*")}
    ablate.make(ablation, folder, jobs=1, lanes=1)
    assert "4 finished before" in capsys.readouterr().out
    assert stamps == {p: p.stat().st_mtime_ns for p in folder.rglob("*.json*")}


def test_every_cell_is_what_its_name_says(finished):
    ablation, folder = finished
    for run in ablation.runs():
        config = json.loads((folder / run.name / "config.json").read_text())["config"]
        credit, ratio = run.cell.name.split("-")
        assert config["credit"]["estimator"] == credit
        assert config["objective"]["ratio"] == ratio.removesuffix("_ratio")
        assert (config["seed"], config["devices"]) == (run.seed, 1)


def test_compare_reads_the_folder(finished):
    ablation, folder = finished
    found = comparison.load_all(folder, "unseen")
    assert list(found) == sorted(f"household:{c.name}" for c in ablation.cells)
    assert all([run.seed for run in runs] == [0, 1] for runs in found.values())
    assert {"sampled", "greedy"} == set(next(iter(found.values()))[0].after)


def test_a_failed_run_is_named_and_the_others_are_made(tmp_path, monkeypatch):
    ablation, made = ablate.load(FILE), []

    def worker(name, folder, tell):
        def work(batch):
            (run,) = batch.runs
            if run.name == "step_gae-token_ratio/seed-1":
                raise Refused("the warm start was not reached")
            made.append(run.name)

        return work

    monkeypatch.setattr(ablate.work, "Worker", worker)
    says = "1 of 8 runs failed; step_gae-token_ratio/seed-1: the warm start"
    with pytest.raises(Refused, match=says):
        ablate.make(ablation, tmp_path, jobs=1, lanes=1)
    assert len(made) == 7
    assert not any(grid.finished(run, tmp_path) for run in ablation.runs())
