"""Rollouts played beside the update, by weights of one iteration ago."""

import pytest

from steppo_jax import assembly, train
from tests.text.test_train import arrays, config, metrics

STALE = (
    "rollout.staleness=1",
    "objective.behaviour_cap=2.0",
    "guards.sampler_gap=None",
    "guards.gap_patience=None",
    "critic.warmup_iterations=0",
)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    workdir, made = tmp_path_factory.mktemp("stale"), config(folder, *STALE)
    train.run(made, workdir)
    return workdir, made


def test_data_is_one_iteration_old_and_is_corrected(run):
    lines = metrics(run[0])
    updates = lines[0]["policy/updates"]
    assert [x["data/staleness_max"] for x in lines] == [0, updates, updates]
    assert lines[0]["policy/behaviour_weight_mean"] == pytest.approx(1, abs=1e-4)
    assert lines[1]["policy/behaviour_weight_mean"] != pytest.approx(1, abs=1e-4)


def test_a_rollout_played_beside_is_that_played_after_a_restart(
    run, tmp_path, monkeypatch
):
    """Nothing is played ahead in the second run, and all of it in the first."""
    workdir, made = run
    kind = assembly.build(made).__class__
    begun = []
    monkeypatch.setattr(kind, "look_ahead", lambda *_: begun.append(0))
    train.run(made, tmp_path)
    assert begun and metrics(tmp_path) == metrics(workdir)
    for a, b in zip(arrays(tmp_path, made), arrays(workdir, made), strict=True):
        assert (a == b).all()


def test_a_run_that_ends_early_leaves_nothing_playing(folder, tmp_path, monkeypatch):
    made = config(folder, *STALE)
    update, ended = train.Loop.record, []

    def stops(self, *arguments):
        update(self, *arguments)
        ended.append(self.p.ahead[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(train.Loop, "record", stops)
    with pytest.raises(KeyboardInterrupt):
        train.run(made, tmp_path)
    assert ended[0].done()


def test_an_error_beside_is_raised_where_the_rollout_is_asked_for(
    folder, tmp_path, monkeypatch
):
    made = config(folder, *STALE)
    kind = assembly.build(made).__class__
    played = kind._collect

    def fails(self, weights, key, iteration):
        if iteration == 1:
            raise ValueError("no weights like these")
        return played(self, weights, key, iteration)

    monkeypatch.setattr(kind, "_collect", fails)
    with pytest.raises(ValueError, match="no weights like these"):
        train.run(made, tmp_path)
    assert len(metrics(tmp_path)) == 1
