"""The main job with a language model: it trains, goes on exactly, reads as English."""

import json

import jax
import numpy as np
import pytest
from absl import flags

from configs import household
from experiments import devices
from experiments.restored import restore
from steppo_jax import assembly, records, train
from steppo_jax.text import source
from tests import compiling, entry_points

SMALL = (
    "lm.max_prompt=600",
    "lm.max_new=6",
    "lm.slots=3",
    "env.max_steps=2",
    "rollout.groups=2",
    "rollout.group_size=2",
    "learner.microbatch=2",
    "learner.minibatches=2",
    "eval.episodes=2",
    "eval.panels=unseen",
    "devices=1",
)


def config(folder, *words):
    said = ",".join(["steppo", "smoke", f"model={folder}", *SMALL, *words])
    return household.get_config(said)


def metrics(workdir):
    lines = records.read(workdir / "metrics.jsonl")
    return [{k: v for k, v in x.items() if not k.startswith("time/")} for x in lines]


def arrays(workdir, made):
    state = restore(assembly.build(made), workdir, "latest")[1]
    leaves = [state.policy, state.policy_opt, state.critic, state.critic_opt]
    return [np.asarray(x) for x in jax.tree.leaves(leaves)]


def job(name, *arguments):
    """An entry point as the command line runs it."""
    with entry_points.flags_of(name):
        flags.FLAGS([name, *arguments])
        entry_points.load(name).main()


for _name in ("play", "evaluate"):
    entry_points.load(_name)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """(workdir, config, programs compiled before each line) of a finished run."""
    workdir, made = tmp_path_factory.mktemp("run"), config(folder)
    return workdir, made, compiling.run(made, workdir)


def test_nothing_compiles_after_the_second_iteration(run):
    """Neither learner nor engine, nor anything small of the host's."""
    counts = run[2]
    assert counts[0] > 0, "the counter hears nothing"
    assert counts[2] == counts[1]


def test_adapters_learn_on_the_checkpoints_weights(folder, tmp_path):
    lora = ("model.lora_rank=2", "model.lora_alpha=4.0", "model.lora_layers=all")
    made = config(folder, *lora, "iterations=2")
    train.run(made, tmp_path)
    state = restore(assembly.build(made), tmp_path, "latest")[1]
    given = source.find(str(folder)).load()[1]["params"]
    jax.tree.map(np.testing.assert_array_equal, state.policy["params"], given)
    b = [x for x in jax.tree.leaves(state.policy["lora"]) if np.abs(x).max() > 0]
    assert len(b) == len(jax.tree.leaves(state.policy["lora"])), "all have moved"


def test_it_learns_from_what_was_said(run):
    workdir, *_ = run
    lines = metrics(workdir)
    assert [x["iteration"] for x in lines] == [0, 1, 2]
    for x in lines:
        assert 0 < x["rollout/slots_busy"] <= 1
        assert x["rollout/prompt_reused"] > 0.3, "the rules are read once per slot"
    assert lines[-1]["policy/updates"] > 0
    gaps = [x["policy/sampler_gap_max"] for x in lines if "policy/sampler_gap_max" in x]
    assert gaps == [] or max(gaps) < 1e-4


def test_episodes_read_as_english(run):
    workdir, *_ = run
    path = sorted((workdir / "trajectories").glob("*.jsonl"))[-1]
    episode = json.loads(path.read_text().splitlines()[0])
    first = episode["steps"][0]
    assert first["observation"].startswith("Your task:")
    assert "<|" not in first["response"]
    assert {"value", "advantage", "reward"} <= set(first)


def test_a_run_that_was_cut_goes_on_bit_for_bit(run, folder, tmp_path, monkeypatch):
    workdir, made, _ = run
    played = assembly.build(made).__class__.collect
    calls = []

    def stopped(self, state):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return played(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(assembly.build(made).__class__, "collect", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.run(made, tmp_path)
    train.run(made, tmp_path)
    assert metrics(tmp_path) == metrics(workdir)
    for a, b in zip(arrays(tmp_path, made), arrays(workdir, made), strict=True):
        assert np.array_equal(a, b)
    panel = "eval/unseen.jsonl"
    assert (tmp_path / panel).read_text() == (workdir / panel).read_text()


def test_what_was_trained_can_be_watched_and_evaluated_again(run, capsys, monkeypatch):
    workdir, *_ = run
    # It would start jax, which runs already.
    monkeypatch.setattr(devices, "settle", lambda config: config.update(devices=1))
    job("play", f"--policy={workdir}", "--panel=unseen", "--index=1")
    shown = capsys.readouterr().out
    assert "step 1 of at most 2" in shown and "> " in shown and "<|" not in shown
    job("evaluate", f"--workdir={workdir}", "--panel=unseen")
    assert "unseen" in capsys.readouterr().out
    (again,) = (workdir / "evaluations").glob("*.jsonl")
    first = [x for x in records.read(workdir / "eval/unseen.jsonl")]
    assert records.read(again) == [x for x in first if x["iteration"] == 3]
