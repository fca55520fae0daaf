"""A whole run on worker processes: it learns, is cut, goes on, and is evaluated."""

import dataclasses
import os
import signal

import jax
import numpy as np
import pytest
from absl import flags

from experiments import devices
from steppo_jax import assembly, memory, records, settings, train
from tests import entry_points
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
    # Depend on who shared a decode: log-probs differ in their last bits.
    clock = ("time/", "rollout/slots_busy", "rollout/prompt_", "policy/sampler_gap")
    return [{k: v for k, v in x.items() if not k.startswith(clock)} for x in lines]


def job(name, *arguments):
    """An entry point as the command line runs it."""
    with entry_points.flags_of(name):
        flags.FLAGS([name, *arguments])
        entry_points.load(name).main()


for _name in ("play", "evaluate"):
    entry_points.load(_name)


def arrays(p, workdir):
    return [np.asarray(x) for x in jax.tree.leaves(train.trained(p, workdir).policy)]


@pytest.fixture(scope="module")
def p(folder):
    """Programs that are compiled once for all runs here."""
    with pytest.MonkeyPatch.context() as patch:
        corridor_config.register(patch)
        made = corridor_config.config(folder, "host.tries=9", method="grpo")
        settings.check(made)
        yield assembly.build(made)


def test_a_run_that_was_cut_goes_on_bit_for_bit(p, tmp_path, monkeypatch):
    whole, cut = tmp_path / "a", tmp_path / "b"
    train.learn(p, whole)
    lines = metrics(whole)
    assert all(x["policy/grad_norm"] > 0 for x in lines), "something is learned"
    assert [x["iteration"] for x in lines] == [0, 1]
    assert all(x["rollout/lost_episodes"] == 0 for x in lines)
    occupied = [x["time/slots_occupied"] for x in records.read(whole / "metrics.jsonl")]
    assert all(0 < x <= 1 for x in occupied)
    panel = "eval/test.jsonl"
    golden = [x["golden_steps"] for x in records.read(whole / panel)]
    assert golden == [1, 2] * 2
    played, calls = type(p).collect, []

    def stopped(self, state):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return played(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(type(p), "collect", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.learn(p, cut)
    train.learn(p, cut)
    assert metrics(cut) == lines
    for a, b in zip(arrays(p, cut), arrays(p, whole), strict=True):
        assert np.array_equal(a, b)
    assert (cut / panel).read_text() == (whole / panel).read_text()


def test_killed_workers_change_nothing_but_the_counts(p, tmp_path, monkeypatch):
    """A worker dies in every iteration; what is learned stays the same."""
    calm, wild = tmp_path / "a", tmp_path / "b"
    train.learn(p, calm)
    step, killed = p.pool.step, []

    def kill(place, action):
        if len(killed) < 3:
            os.kill(p.pool.processes()[place], signal.SIGKILL)
            killed.append(place)
        step(place, action)

    played = type(p).collect

    def collect(self, state):
        killed.clear()
        return played(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(type(p), "collect", collect)
        patch.setattr(p.pool, "step", kill)
        train.learn(p, wild)
    counts = ("rollout/lost_episodes", "rollout/worker_restarts")
    assert [x["rollout/lost_episodes"] for x in metrics(wild)] == [3, 3]

    def others(workdir):
        return [
            {k: v for k, v in x.items() if k not in counts} for x in metrics(workdir)
        ]

    assert others(wild) == others(calm)
    for a, b in zip(arrays(p, wild), arrays(p, calm), strict=True):
        assert np.array_equal(a, b)


def test_what_the_engine_holds_is_in_the_estimate(p, monkeypatch):
    cache = sum(x.nbytes for x in jax.tree.leaves(p.engine._device))
    fresh = jax.eval_shape(p.learner.init, jax.random.key(0))
    turned = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(fresh.policy))
    assert cache > 0 and p.engine_bytes() == cache + turned
    found = memory.Estimate(1, memory.state_bytes(p) + p.engine_bytes(), 1)
    assert memory.estimate(p).rollout == found.rollout
    monkeypatch.setattr(memory, "estimate", lambda p: found)
    monkeypatch.setattr(memory, "state_bytes", lambda p: 0)
    monkeypatch.setattr(memory, "free", lambda device: found.rollout - 1)
    with pytest.raises(memory.TooLarge, match=r"the rollout needs .*lm.slots"):
        memory.check(p)


def test_the_expert_is_cloned(p):
    shown = dataclasses.replace(
        p._demonstrations(),
        settings=dataclasses.replace(
            p.clone_settings(), learning_rate=0.02, episodes=4
        ),
    )
    tokens = shown.tokens(jax.random.key(0))
    again = shown.tokens(jax.random.key(0))
    assert np.array_equal(tokens.token, again.token)
    said = {
        p.chat.decode(np.asarray(ids)[mask])
        for ids, mask in zip(tokens.token, np.asarray(tokens.response_mask))
        if mask.any()
    }
    assert said == {"on"}


def test_what_was_trained_can_be_watched_and_evaluated_again(
    p, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(devices, "settle", lambda config: config.update(devices=1))
    train.learn(p, tmp_path)
    capsys.readouterr()
    job("play", f"--policy={tmp_path}", "--panel=test", "--index=1")
    shown = capsys.readouterr().out
    assert "step 1 of at most 2" in shown and "You are at 0 of 2" in shown
    job("evaluate", f"--workdir={tmp_path}", "--panel=test")
    (again,) = (tmp_path / "evaluations").glob("*.jsonl")
    first = records.read(tmp_path / "eval/test.jsonl")
    assert records.read(again) == [x for x in first if x["iteration"] == 2]
