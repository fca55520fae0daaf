"""The guards of a run: what stops it, where, and what is kept for inspection."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest

from configs import household
from steppo_jax import faults, guards, programs, records, train
from steppo_jax.guards import Guards, GuardSettings, RunStopped
from tests import toy

OFF = GuardSettings(3, None, None, None, None)
FINE = {"policy/sampler_gap_mean": 1e-6, "policy/kl": 1e-3, "policy/loss": 0.0}


def judge_all(the: Guards, lines, start=0, updates=2):
    """The verdicts on iterations of (values, number of first updates left out)."""
    out = []
    for place, (values, bad) in enumerate(lines):
        skipped = [i < bad for i in range(updates)]
        out.append(the.judge(start + place, FINE | values, skipped))
    return out


def fresh(tmp_path: pathlib.Path, **changes) -> Guards:
    return Guards(dataclasses.replace(OFF, **changes), tmp_path, 0)


def test_updates_left_out_in_a_row_stop_the_run(tmp_path):
    the = fresh(tmp_path)
    found = [the.judge(i, FINE, s) for i, s in enumerate([(0, 1), (1, 0), (0, 1)])]
    assert [v.metrics[guards.SKIPS] for v in found] == [1, 0, 1]
    assert not any(v.stop for v in found)  # never three in a row
    assert "1 of 2 optimizer updates left out (2)" in found[0].warnings[0]
    last = the.judge(3, FINE, (1, 1))
    assert "iteration 3: optimizer updates 6 to 8" in last.stop
    assert "guards.max_skips=3 in a row" in last.stop and "\n" not in last.stop


def test_a_resumed_run_remembers_the_row(tmp_path):
    with records.Records(tmp_path / "metrics.jsonl") as file:
        for i, skips in enumerate((0, 2, 0)):
            file.append({"iteration": i, guards.SKIPS: float(skips), **FINE})
    assert Guards(OFF, tmp_path, 2).judge(2, FINE, (1, 0)).stop
    assert not Guards(OFF, tmp_path, 3).judge(3, FINE, (1, 0)).stop
    assert not Guards(OFF, tmp_path / "none", 0).judge(0, FINE, (1, 1)).stop


def test_a_gap_warns_then_stops(tmp_path):
    the = fresh(tmp_path, sampler_gap=0.05, gap_patience=3)
    gaps = (0.06, 0.06, 0.04, 0.06, float("nan"), 0.06)
    lines = [({"policy/sampler_gap_mean": gap}, 0) for gap in gaps]
    found = judge_all(the, lines)
    assert [bool(v.warnings) for v in found] == [True, True, False, True, True, False]
    assert [bool(v.stop) for v in found] == [False] * 5 + [True]
    assert "differ by 0.06 nats" in found[-1].stop and "3 iterations" in found[-1].stop


def test_a_large_kl_stops(tmp_path):
    the = fresh(tmp_path, max_kl=0.1)
    low, high = judge_all(the, [({"policy/kl": 0.1}, 0), ({"policy/kl": 0.11}, 0)])
    assert low.stop is None and "0.11 is above guards.max_kl=0.1" in high.stop
    assert not fresh(tmp_path).judge(0, FINE | {"policy/kl": 99.0}, ()).stop


def test_a_loss_spike_stops(tmp_path):
    """±1 in turn: mean 0, standard deviation 1; the bound is 4."""
    quiet = [({"critic/loss": (-1.0) ** i}, 0) for i in range(12)]
    for loss, stops in ((3.9, False), (4.1, True), (-9.0, False)):
        the = fresh(tmp_path, loss_spike=4.0)
        found = judge_all(the, [*quiet, ({"critic/loss": loss}, 0)])
        assert [bool(v.stop) for v in found] == [False] * 12 + [stops]
    assert (
        "critic/loss"
        in judge_all(
            fresh(tmp_path, loss_spike=4.0), [*quiet, ({"critic/loss": 5.0}, 0)]
        )[-1].stop
    )


def test_too_short_a_past_is_no_measure(tmp_path):
    lines = [({"policy/loss": x}, 0) for x in (0.0, 1.0, 0.0, 99.0)]
    assert not any(v.stop for v in judge_all(fresh(tmp_path, loss_spike=1.0), lines))


def test_a_spike_is_measured_alike_after_a_resume(tmp_path):
    losses = [float(np.sin(3 * i)) for i in range(30)] + [9.0]
    with records.Records(tmp_path / "metrics.jsonl") as file:
        for i, loss in enumerate(losses[:25]):
            file.append({"iteration": i, **FINE, "policy/loss": loss})
    on = dataclasses.replace(OFF, loss_spike=3.0)
    whole = judge_all(
        Guards(on, tmp_path / "none", 0), [({"policy/loss": x}, 0) for x in losses]
    )
    again = judge_all(
        Guards(on, tmp_path, 25), [({"policy/loss": x}, 0) for x in losses[25:]], 25
    )
    assert [v.stop for v in again] == [v.stop for v in whole[25:]]
    assert again[-1].stop


def test_suspect_rows_of_several_devices_are_the_right_ones(tmp_path):
    """Two devices, each numbering its sequences from 0."""
    played = jax.device_get(toy.play())
    half = played.tokens.token.shape[0] // 2
    at = played.tokens.value_at.copy()
    at[half:, 0] -= half
    tokens = played.tokens.replace(value_at=at)
    suspect = np.zeros(2 * half, bool)
    rows = [0, half + 1]
    suspect[rows] = True
    value = np.zeros(2 * half)
    value[half + 1] = np.nan
    seen = {"suspect": suspect, "value": value, "advantage": np.zeros(2 * half)}
    path = faults.write(tmp_path, 3, played.steps, tokens, seen, np.ones(2, bool), 2)
    assert path.name == "iteration_000003.npz"
    with np.load(path) as stored:  # pickle is off
        np.testing.assert_array_equal(stored["row"], rows)
        np.testing.assert_array_equal(stored["token"], played.tokens.token[rows])
        np.testing.assert_array_equal(stored["broken"], [False, True])
        np.testing.assert_array_equal(stored["traj_id"], played.steps.traj_id[rows])
        assert stored["skipped"].all()


def test_failing_on_and_on_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "MOST", 2)
    played = jax.device_get(toy.play())
    rows = played.steps.num_rows
    seen = {name: np.zeros(rows) for name in ("suspect", "value", "advantage")}
    args = (played.steps, played.tokens, seen, np.ones(2, bool))
    written = [faults.write(tmp_path, i, *args) is not None for i in (0, 1, 2, 1)]
    assert written == [True, True, False, True]  # an old one may be replaced


@pytest.mark.slow
def test_a_run_with_bad_rewards_stops_and_leaves_the_rows(tmp_path, monkeypatch):
    """One reward is NaN from iteration 1 on; two updates each, three allowed."""
    collect = programs.Programs.collect.fget

    def poisoned(p):
        play = collect(p)

        def played(state):
            rolled = play(state)
            bad = (rolled.steps.traj_id == 6) & (rolled.steps.step_index == 0)
            bad &= (state.iteration > 0).reshape(-1, 1)
            reward = jax.numpy.where(bad, jax.numpy.nan, rolled.steps.reward)
            return rolled.replace(steps=rolled.steps.replace(reward=reward))

        played.lower = play.lower  # asked for its memory
        return played

    monkeypatch.setattr(programs.Programs, "collect", property(poisoned))
    config = household.get_config(
        "steppo,smoke,iterations=4,guards.max_skips=3,devices=2,eval.episodes=8"
    )
    with pytest.raises(RunStopped, match="iteration 2: optimizer updates 3 to 5"):
        train.run(config, tmp_path)
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").open()]
    assert [x["policy/skipped"] for x in lines] == [0, 2, 2]
    assert [x[guards.SKIPS] for x in lines] == [0, 2, 4]
    names = sorted(p.name for p in (tmp_path / "faults").iterdir())
    assert names == ["iteration_000001.npz", "iteration_000002.npz"]
    with np.load(tmp_path / "faults" / names[0]) as stored:
        bad = np.isnan(stored["reward"])
        assert set(stored["traj_id"][bad]) == {6} and bad.sum() == 1
        assert stored["broken"].all()  # whitening spread it over all advantages
