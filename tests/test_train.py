"""A whole small run in this process: what it writes, and what it does not do."""

import json
import shutil
import types

import jax
import numpy as np
import pytest

from configs import household
from steppo_jax import programs, records, recredit, run_record, train
from steppo_jax.errors import Refused
from tests import compiling

EXPECTED = {
    "train/success",
    "train/return",
    "train/steps",
    "train/tokens_per_response",
    "policy/entropy",
    "policy/kl",
    "policy/clip_fraction",
    "policy/ratio_mean",
    "policy/ratio_max",
    "policy/grad_norm",
    "policy/sampler_gap_mean",
    "policy/sampler_gap_max",
    "policy/updates",
    "critic/explained_variance",
    "critic/grad_norm",
    "critic/loss",
    "time/rollout_seconds",
    "time/update_seconds",
    "time/tokens_per_second",
}


def smoke(devices: int = 2, **changes):
    fields = "".join(f",{k.replace('__', '.')}={v}" for k, v in changes.items())
    config = household.get_config("steppo,smoke" + fields)
    config.devices = devices
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A smoke run of six iterations, and how much was compiled before each line."""
    workdir = tmp_path_factory.mktemp("run")
    return workdir, compiling.run(smoke(iterations=6, eval__every=3), workdir)


def test_nothing_compiles_after_the_second_iteration(finished):
    """Counted before each line of metrics; evaluations in between count too."""
    _, counts = finished
    assert counts[0] > 0, "the counter hears nothing"
    assert counts[1:] == [counts[1]] * 5


def test_metrics_have_every_name_and_no_nan(finished):
    workdir, _ = finished
    lines = [json.loads(x) for x in (workdir / "metrics.jsonl").open()]
    assert [x["iteration"] for x in lines] == list(range(6))
    for line in lines:
        assert set(line) >= EXPECTED
        assert all(np.isfinite(x) for x in line.values())
        assert line["policy/sampler_gap_max"] < 1e-4
    # One iteration of critic warm-up, then 2 minibatches each: whatever the data.
    updates = [x["policy/updates"] for x in lines]
    assert updates == [0, 2, 4, 6, 8, 10]


def test_everything_the_readme_names_is_there(finished):
    workdir, _ = finished
    names = {p.name for p in workdir.iterdir()}
    assert names >= {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "trajectories",
        "eval",
        "tensorboard",
        "learning_curve.png",
        "learning_curve.svg",
        "report.html",
    }
    played = [json.loads(x) for x in (workdir / "eval" / "unseen.jsonl").open()]
    assert sorted({x["iteration"] for x in played}) == [0, 3, 6]
    assert {"success", "return", "steps", "golden_steps", "decoding"} <= set(played[0])


def test_trajectories_are_text_with_credit(finished):
    workdir, _ = finished
    paths = sorted((workdir / "trajectories").iterdir())
    assert [p.stem for p in paths] == ["000000", "000003", "000005"]
    episode = json.loads(paths[0].read_text().splitlines()[0])
    step = episode["steps"][0]
    assert step["observation"].startswith("Your task: put a")
    assert step["response"] and isinstance(step["advantage"], float)
    assert sum(s["reward"] for s in episode["steps"]) == episode["return"]


def test_stored_episodes_hold_all_that_credit_reads(finished):
    """Worked out again from the file, the advantage is the learner's before whitening:
    the same shift and scale for every step."""
    workdir, _ = finished
    episodes = records.read(workdir / "trajectories" / "000005.jsonl")
    assert len(episodes) == 4, "one was asked for, and its group has four"
    found, _ = recredit.of_episodes(episodes, run_record.load(workdir)[0])
    assert found[0].own and len(found) > 1
    again = np.concatenate(found[0].steps)
    stored = np.array([s["advantage"] for e in episodes for s in e["steps"]])
    line = np.polyfit(again, stored, 1)
    assert line[0] > 1
    np.testing.assert_allclose(np.polyval(line, again), stored, atol=1e-4)


def test_a_rollout_is_the_same_on_any_number_of_devices():
    """Episodes bit for bit in their tokens; tables numbered per device."""
    played = {}
    for count in (1, 8):
        config = smoke(devices=count, learner__minibatches=1, learner__microbatch=4)
        p = programs.build(config)
        state = p.devices.replicate(p.learner.init(jax.random.key(0)))
        played[count] = jax.device_get(p.devices.join(p.collect(state)))
    one, eight = played[1], played[8]
    np.testing.assert_array_equal(one.tokens.token, eight.tokens.token)
    np.testing.assert_array_equal(one.steps.traj_id, eight.steps.traj_id)
    np.testing.assert_array_equal(one.steps.group_id, eight.steps.group_id)
    np.testing.assert_array_equal(one.outcome["steps"], eight.outcome["steps"])
    np.testing.assert_allclose(
        one.tokens.behaviour_log_prob, eight.tokens.behaviour_log_prob, atol=1e-5
    )


def test_warm_start_stops_at_the_target_and_feeds_the_critic(tmp_path, capsys):
    config = smoke(
        iterations=2,
        warm_start__success=0.01,
        warm_start__expert_noise=0.0,
        warm_start__learning_rate=0.01,
        warm_start__max_updates=400,
        model__width=32,
        env__max_steps=8,
    )
    p = programs.build(config)
    fresh = p.learner.init(jax.random.key(0))
    state = train._warm(p, fresh, [])
    assert "cloning" in capsys.readouterr().out
    same = jax.tree.map(
        lambda a, b: bool((a == b).all()),
        state.critic["params"]["decoder"],
        state.policy["params"]["decoder"],
    )
    assert all(jax.tree.leaves(same))
    heads = [tree.critic["params"]["head"]["kernel"] for tree in (fresh, state)]
    np.testing.assert_array_equal(*heads)


def test_an_unreachable_warm_start_says_what_to_do():
    config = smoke(warm_start__success=0.99, warm_start__max_updates=10)
    p = programs.build(config)
    with pytest.raises(Refused, match=r"warm_start.success=0.99: after 10 cloning"):
        train._warm(p, p.learner.init(jax.random.key(0)), [])


def test_sigterm_while_cloning_stops_the_run(capsys):
    config = smoke(warm_start__success=0.99, warm_start__max_updates=20)
    p = programs.build(config)
    with pytest.raises(SystemExit, match="143"):
        train._warm(p, p.learner.init(jax.random.key(0)), stop=[15])
    assert "nothing to save yet" in capsys.readouterr().out


def test_sigterm_is_seen_between_two_measurements():
    """A language model makes few cloning updates in a minute."""
    made = []

    def clone(state, measure, tell):
        for i in range(1, 10):
            made.append(i)
            tell(i, None)

    warm_start = types.SimpleNamespace(success=0.5)
    p = types.SimpleNamespace(
        config=types.SimpleNamespace(warm_start=warm_start),
        evaluator=lambda kind: None,
        clone=clone,
        learner=types.SimpleNamespace(start_from=lambda state, params: params),
    )
    with pytest.raises(SystemExit, match="143"):
        train._warm(p, None, stop=[15])
    assert made == [1]


def test_accepted_changes_are_learned_with_and_said(finished, tmp_path, capsys):
    """The first run is copied: refused as it is, it goes on where that is allowed."""
    workdir = tmp_path / "copy"
    shutil.copytree(finished[0], workdir)
    changed = smoke(iterations=7, eval__every=3, policy__learning_rate=0.5)
    with pytest.raises(Refused, match=r"policy.learning_rate: the run has 0.0005"):
        train.run(changed, workdir)
    before = records.read(workdir / "metrics.jsonl")
    train.run(changed, workdir, accept_changes=True)
    assert "memory by the compiled programs: state 0." in capsys.readouterr().out
    assert records.read(workdir / "metrics.jsonl")[:6] == before
    record = run_record.load(workdir)[1]
    assert record["lanes"] == 1
    assert any("policy.learning_rate" in text for text in record["changes"])
