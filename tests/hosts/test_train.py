"""A whole run on worker processes: it learns, is cut, goes on, and is evaluated."""

import json

import jax
import numpy as np
import pytest

from experiments.restored import restore
from steppo_jax import assembly, records, train
from tests.hosts import corridor_config
from tests.text import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    corridor_config.register(monkeypatch)


def metrics(workdir):
    lines = records.read(workdir / "metrics.jsonl")
    kept = ("time/", "rollout/slots_busy", "rollout/prompt_")  # depend on the clock
    return [{k: v for k, v in x.items() if not k.startswith(kept)} for x in lines]


def arrays(workdir, made):
    state = restore(assembly.build(made), workdir, "latest")[1]
    return [np.asarray(x) for x in jax.tree.leaves((state.policy, state.critic))]


def test_a_run_that_was_cut_goes_on_bit_for_bit(folder, tmp_path, monkeypatch):
    made, whole, cut = corridor_config.config(folder), tmp_path / "a", tmp_path / "b"
    train.run(made, whole)
    lines = metrics(whole)
    assert [x["iteration"] for x in lines] == [0, 1]
    assert all(x["rollout/lost_episodes"] == 0 for x in lines)
    occupied = [x["time/slots_occupied"] for x in records.read(whole / "metrics.jsonl")]
    assert all(0 < x <= 1 for x in occupied)
    panel = [
        json.loads(x) for x in (whole / "eval/test.jsonl").read_text().split("\n")[:-1]
    ]
    assert [x["golden_steps"] for x in panel] == [1, 2] * 2
    cls = type(assembly.build(made))
    played, calls = cls.collect, []

    def stopped(self, state):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return played(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(cls, "collect", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.run(made, cut)
    train.run(made, cut)
    assert metrics(cut) == lines
    for a, b in zip(arrays(cut, made), arrays(whole, made), strict=True):
        assert np.array_equal(a, b)
    assert (cut / "eval/test.jsonl").read_text() == (
        whole / "eval/test.jsonl"
    ).read_text()


def test_the_expert_is_cloned(folder, tmp_path):
    words = ("warm_start.success=0.2", "warm_start.expert_noise=0.0", "iterations=2")
    words += ("warm_start.episodes=4", "warm_start.check_every=10", "lm.rules=false")
    words += ("warm_start.learning_rate=0.02", "warm_start.measured_on=6")
    made = corridor_config.config(folder, *words, "warm_start.max_updates=100")
    p = assembly.build(made)
    told = []
    state = p.begin()

    def measure(params):
        tasks = p.evaluator("greedy").tasks("train", 6)
        outcome = p.evaluator("greedy")(params, tasks, jax.random.key(0))
        return float(outcome["success"].mean())

    assert measure(p.devices.replicate(state.policy)) == 0
    p.clone(state, measure, lambda made, rate: told.append(rate))
    assert told[-1] >= 0.2
