"""Run records: there and back, small, without paths; found at any depth."""

import dataclasses
import io
import json

import numpy as np
import pytest

from configs import household
from steppo_jax import metrics, panel_records, records
from steppo_jax.errors import Refused
from steppo_jax.metrics import Metrics
from steppo_jax.panel_records import Kind
from steppo_jax.progress import Progress
from steppo_jax.run_record import Run as Folder
from steppo_jax.study import collect, finding, store
from tests.study import made_up


def folder(workdir, iterations=4, seed=0, done=None, preset="steppo"):
    """A run folder with made-up numbers."""
    config = household.get_config(f"{preset},iterations={iterations},seed={seed}")
    Folder(workdir, config, "2").close()
    numbers = Metrics(workdir, Progress("x", iterations, stream=io.StringIO()))
    for i in range(iterations if done is None else done):
        numbers.write(
            i,
            {
                metrics.SUCCESS: i / 7,
                "critic/loss": None if i == 1 else 1 / 3,
                "data/tokens": 10.0 + i,
                "data/steps": 5.0,
                "time/rollout_seconds": 0.5,
                "time/update_seconds": 1.0 + (i == 0),
            },
        )
    numbers.close()
    for panel in ("seen", "unseen"):
        for at, success in ((0, [0, 0, 1]), (2, [0, 1, 1]), (iterations, [1, 1, 0])):
            outcome = {
                "success": np.array(success, float),
                "return": np.array([0.25, 1e-9, 12.0]),
                "steps": np.array([20.0, 3.0, 4.0]),
            }
            path = workdir / panel_records.FOLDER / f"{panel}.jsonl"
            panel_records.write(path, Kind(at, "sampled", 0), outcome, [2, 3, 4])
    return workdir


def same(a, b) -> bool:
    """Two runs, arrays and all."""
    return store.dumps(a) == store.dumps(b) and a.settings == b.settings


def test_a_record_comes_back_as_it_was(tmp_path):
    run = collect.of_folder(folder(tmp_path / "a"))
    path = tmp_path / "a.jsonl"
    path.write_text(store.dumps(run))
    back = store.read(path)
    assert same(run, back)
    for one, two in zip(run.evaluations, back.evaluations, strict=True):
        assert one.columns.keys() == two.columns.keys()
        for name, column in one.columns.items():
            np.testing.assert_array_equal(column, two.columns[name])
    for name, column in run.metrics.items():
        np.testing.assert_array_equal(column, back.metrics[name])


def test_what_a_record_says_is_what_the_folder_says(tmp_path):
    run = collect.of_folder(folder(tmp_path))
    assert (run.cell, run.seed, run.environment) == ("steppo", 0, "household")
    assert run.last("unseen").columns["success"].tolist() == [1, 1, 0]
    assert run.last("unseen").columns["return"].tolist() == [4.0833]
    assert run.last("unseen").columns["steps"].tolist() == [20, 3, 4]
    assert [len(e.columns["steps"]) for e in run.evaluations] == [1, 1, 3] * 2
    assert run.totals["data/tokens"] == 46 and run.totals["episodes"] == 4 * 64
    assert run.totals["time/update_seconds"] == 5
    assert run.totals["time/update_seconds/median"] == 1  # the first compiles
    assert np.isnan(run.metrics["critic/loss"]).tolist() == [False, True, False, False]
    np.testing.assert_allclose(run.cumulative("data/tokens"), [10, 21, 33, 46])


def test_a_long_run_is_thinned_to_means(tmp_path):
    lines = [{"iteration": i, metrics.STEPS: float(i), "a/b": 1.0} for i in range(7)]
    found = collect.thinned(lines, every=3)
    np.testing.assert_allclose(found[metrics.STEPS], [1, 4, 6])  # the last is shorter
    assert "a/b" not in found
    run = dataclasses.replace(
        collect.of_folder(folder(tmp_path, iterations=7)), every=3, metrics=found
    )
    assert run.done().tolist() == [3, 6, 7]
    np.testing.assert_allclose(run.cumulative(metrics.STEPS), [3, 15, 21])


def test_no_path_and_no_time_of_day_is_stored(tmp_path):
    run = collect.of_folder(folder(tmp_path))
    command = (
        f"python -m experiments.train --config=/home/me/x.py:a --workdir={tmp_path}"
    )
    run = dataclasses.replace(run, origin={**run.origin, "command": command})
    text = store.dumps(run)
    assert "/tmp" not in text and "/home" not in text and "--config=x.py:a" in text
    assert "configs/household.py" in store.without_paths(
        "--config=configs/household.py"
    )


def test_a_seed_folder_names_the_cell(tmp_path):
    run = collect.of_folder(folder(tmp_path / "my cell" / "seed-3", seed=3))
    assert (run.cell, run.seed) == ("my cell", 3)
    other = collect.of_folder(folder(tmp_path / "my cell" / "seed-4", seed=0))
    assert other.cell == "steppo"  # the folder lies about its seed


def test_folders_and_records_are_found_at_any_depth(tmp_path):
    told = []
    folder(tmp_path / "runs" / "a" / "seed-0")
    folder(tmp_path / "runs" / "deep" / "er" / "b", seed=1)
    folder(tmp_path / "runs" / "unfinished", seed=2, done=1)
    runs = finding.load(tmp_path / "runs", told.append)
    assert [(r.cell, r.seed) for r in runs] == [("a", 0), ("steppo", 1)]
    assert len(told) == 1 and "1 of 4 iterations" in told[0]
    paths = finding.write(runs, tmp_path / "records", episodes_of=0)
    names = [str(p.relative_to(tmp_path / "records")) for p in paths]
    assert names == ["household/a-0.jsonl", "household/steppo-1.jsonl"]
    again = finding.load(tmp_path / "records", told.append)
    assert all(map(same, runs, again)) and len(told) == 1
    assert all(path.stat().st_size < 8000 for path in paths)


def test_the_same_run_twice_is_refused(tmp_path):
    for name in ("a", "b"):
        folder(tmp_path / name)
    with pytest.raises(Refused, match="the same run"):
        finding.load(tmp_path, print)


def test_nothing_to_read_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(Refused, match=r"experiments\.train"):
        finding.load(tmp_path, print)
    with pytest.raises(Refused, match="no folder"):
        finding.load(tmp_path / "x", print)
    (tmp_path / "a.jsonl").write_text('{"format": 99}\n')
    with pytest.raises(Refused, match="format 1"):
        finding.load(tmp_path, print)


def test_settings_that_this_code_does_not_know_are_refused(tmp_path):
    run = made_up.run()
    odd = dataclasses.replace(run, settings={**run.settings, "credit.wings": 2})
    (tmp_path / "a.jsonl").write_text(store.dumps(odd))
    with pytest.raises(Refused, match=r"settings credit\.wings"):
        store.read(tmp_path / "a.jsonl")
    younger = {k: v for k, v in run.settings.items() if k != "critic.scale"}
    old = dataclasses.replace(run, settings=younger)
    (tmp_path / "a.jsonl").write_text(store.dumps(old))
    assert store.read(tmp_path / "a.jsonl").settings == run.settings


def test_names_that_clash_are_told_apart(tmp_path):
    one = made_up.run("steppo")
    two = made_up.run("steppo", credit__gamma=1.0)
    names = {store.name_of(run, [one, two]) for run in (one, two)}
    assert len(names) == 2
    labels = finding.labels([one, two])
    assert labels[id(two)] == "steppo (credit.gamma=1.0)"
    assert store.name_of(one, [one]) == "household/steppo-0.jsonl"


def test_episodes_are_kept_of_one_seed_only(tmp_path):
    runs = [made_up.run(seed=s, episodes=({"group": 0},)) for s in (0, 1)]
    paths = finding.write(runs, tmp_path, episodes_of=1)
    assert [len(store.read(p).episodes) for p in paths] == [0, 1]
    lines = [json.loads(x) for x in paths[1].read_text().splitlines()]
    assert lines[-1] == {"episode": {"group": 0}}
    assert records.read(paths[0])[0]["format"] == 1
