"""The example of docs/ablations.md, run: what it compiles, whose numbers it gives."""

import json
import pathlib
import re

import numpy as np
import pytest

from steppo_jax import train
from steppo_jax.ablation import grid, plan, record
from steppo_jax.ablation.work import Worker
from steppo_jax.benchmarks.compiled import watched
from tests import entry_points

ablate = entry_points.load("ablate")

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "ablations.md"
pytestmark = pytest.mark.slow


class Killed(Exception):
    """In place of a kill; what is on disk is as after one."""


def lines(folder: pathlib.Path) -> list[dict]:
    """Metrics without the clock."""
    found = [json.loads(x) for x in (folder / "metrics.jsonl").open()]
    return [{k: v for k, v in x.items() if not k.startswith("time/")} for x in found]


def panels(folder: pathlib.Path) -> dict[str, str]:
    paths = sorted(folder.glob("eval*/*.jsonl"))
    return {str(p.relative_to(folder)): p.read_text() for p in paths}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The ablation of the docs, from a file of its own, in its smoke form."""
    (text,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(text.splitlines()) < 30
    path = tmp_path_factory.mktemp("configs") / "clip.py"
    path.write_text(text)
    grid.check(ablate.load(str(path)))
    ablation = ablate.load(f"{path}:smoke")
    grid.check(ablation)
    return ablation


class Teller:
    """Listens to a worker, and kills it at the given report, once."""

    def __init__(self):
        self.heard, self.kill = [], None

    def __call__(self, kind, run, what):
        self.heard.append((kind, run))
        if self.kill == (run, self.heard.count((kind, run))) and kind == "advance":
            self.kill = None
            raise Killed


@pytest.fixture(scope="module")
def made(example, tmp_path_factory):
    """(folder of all runs alone, the worker's teller, the worker, compiled by each)."""
    folder, tell, counts = tmp_path_factory.mktemp("alone"), Teller(), []
    worker = Worker(example.name, folder, tell)
    for batch in plan.batches(example.runs(), 1):
        with watched() as compiled:
            worker(batch)
        counts.append(len(compiled))
    return folder, tell, worker, counts


def test_cells_of_one_shape_are_compiled_once(made):
    *_, counts = made
    assert counts[0] > 0, "the counter hears nothing"
    assert counts[1:] == [0] * 5


def test_runs_of_one_seed_meet_the_same_tasks(made):
    folder, *_ = made
    first = {
        (cell, seed): lines(folder / f"{cell}/seed-{seed}")[0][
            "train/tokens_per_response"
        ]
        for cell in ("clip-0.03", "clip-0.01")
        for seed in (0, 1)
    }
    assert first["clip-0.03", 0] == first["clip-0.01", 0] != first["clip-0.01", 1]


def test_a_run_is_bit_for_bit_the_one_of_train(example, made, tmp_path, monkeypatch):
    """With the programs of the worker: compiling the same again takes long."""
    folder, _, worker, _ = made
    run = example.runs()[-1]
    monkeypatch.setattr(train.assembly, "build", worker._programs.at)
    train.run(run.config, tmp_path / "run")
    assert lines(tmp_path / "run") == lines(folder / run.name)
    alone, within = panels(tmp_path / "run"), panels(folder / run.name)
    assert alone and alone.items() <= within.items()


def test_killed_and_run_again_it_gives_the_same_numbers(example, made):
    folder, tell, worker, _ = made
    batch = plan.batches(example.runs(), 1)[0]
    place, before = folder / batch.runs[0].name, folder / "before"
    place.rename(before)
    tell.heard, tell.kill = [], (batch.runs[0].name, 2)
    with pytest.raises(Killed):
        worker(batch)
    assert not grid.finished(batch.runs[0], folder)
    worker(batch)
    assert lines(place) == lines(before)
    assert panels(place) == panels(before)


def test_a_record_says_where_a_run_is_from_and_what_it_reached(example, made):
    folder, *_ = made
    run = example.runs()[0]
    found = record.read(run, folder)
    assert (found["cell"], found["seed"], found["lanes"]) == ("clip-0.03", 0, 1)
    assert found["config"] == "configs/household.py:steppo,smoke"
    assert found["episodes"] == 3 * 16 and len(found["curves"]["success"]) == 3
    assert set(found["panels"]) == {"seen", "unseen"}
    for panel in found["panels"].values():
        assert set(panel["before"]) == {"sampled"}
        assert set(panel["after"]) == {"sampled", "greedy"}
    assert found["update_seconds"] > 0 and found["tokens"] > 0


@pytest.fixture(scope="module")
def as_lanes(example, made, tmp_path_factory):
    """(folder of the first two cells with both seeds as lanes, compiled by each)."""
    _, _, worker, _ = made
    folder, counts = tmp_path_factory.mktemp("lanes"), []
    alone, worker._folder = worker._folder, folder
    for batch in plan.batches(example.runs(), 2)[:2]:
        with watched() as compiled:
            worker(batch)
        counts.append(len(compiled))
    yield folder, counts
    worker._folder = alone


def test_lanes_of_one_shape_are_compiled_once(as_lanes):
    _, counts = as_lanes
    assert counts[0] > 0 and counts[1] == 0


def test_a_lane_begins_as_the_run_alone_and_says_that_it_is_one(
    example, made, as_lanes
):
    (alone, *_), (folder, _) = made, as_lanes
    for run in example.runs()[:4]:
        one, lane = lines(alone / run.name)[0], lines(folder / run.name)[0]
        assert one.keys() == lane.keys()
        for name, value in one.items():
            np.testing.assert_allclose(lane[name], value, rtol=1e-4, atol=1e-5)
        origin = json.loads((folder / run.name / "config.json").read_text())
        assert origin["lanes"] == 2
        names = {p.name for p in (alone / run.name).iterdir()}
        assert names == {p.name for p in (folder / run.name).iterdir()}
        assert panels(alone / run.name).keys() == panels(folder / run.name).keys()


def test_killed_lanes_go_on_from_their_last_common_iteration(example, made, as_lanes):
    (_, tell, worker, _), (folder, _) = made, as_lanes
    batch = plan.batches(example.runs(), 2)[0]
    befores = []
    for run in batch.runs:
        befores.append(folder / f"before-{run.seed}")
        (folder / run.name).rename(befores[-1])
    tell.heard, tell.kill = [], (batch.runs[0].name, 3)  # the other lane has two lines
    with pytest.raises(Killed):
        worker(batch)
    worker(batch)
    for run, before in zip(batch.runs, befores):
        assert lines(folder / run.name) == lines(before)
