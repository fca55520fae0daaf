"""`experiments.benchmark` at a tiny size: what it measures, not how long it takes."""

import itertools
import json

import jax
import numpy as np
import pytest
from absl.testing import flagsaver

from configs import household
from steppo_jax import credit as estimators
from steppo_jax import envs
from steppo_jax.benchmarks import credit, environment, timing, turns
from tests import entry_points

benchmark = entry_points.load("benchmark")
its_flags = entry_points.with_flags("benchmark")

SMALL = (32, 8)  # two trajectories of 16 steps


@pytest.mark.parametrize("name", credit.PEERS)
def test_the_numpy_recursion_computes_what_the_estimator_does(name):
    host = credit.tables(*SMALL)
    wide = [x for x in host.values() if x.ndim == 2]
    numbers = (credit.STEPS, credit.VALUES["gamma"], credit.VALUES["lam"])
    peer = credit.PEERS[name](*wide, *numbers)
    ours, _ = credit.estimator(name, host)()
    np.testing.assert_allclose(ours, peer, atol=1e-5)
    assert np.abs(peer).max() > 0.1


def test_the_json_line_has_every_estimator_and_where_it_ran(capsys, monkeypatch):
    run = credit.run
    monkeypatch.setattr(credit, "run", lambda repeats: run(repeats, *SMALL))
    small = household.get_config("steppo,smoke")
    monkeypatch.setattr(household, "get_config", lambda arg: small)
    with flagsaver.flagsaver(what="credit", repeats=3):
        benchmark.main()
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["packages"]["jax"] == jax.__version__
    rows = {row["call"]: row for row in record["rows"]}
    wanted = set(estimators.names()) - {"monte_carlo"}
    assert wanted == set(rows) & set(estimators.names())
    assert {rows[name]["limit"] for name in wanted} == {4.0, 40.0}
    assert rows["pass"]["ratio"] == 1.0 and rows["numpy step_gae"]["limit"] is None
    shares = {row["call"]: row for row in record["shares"]}
    assert set(shares) == wanted | {"iteration"}
    assert shares["iteration"]["share"] == 1 and shares["iteration"]["limit"] is None
    assert all(shares[name]["limit"] == 0.01 for name in wanted)
    assert all(row["seconds"] > 0 and row["ratio"] > 0 for row in record["rows"])


def test_an_environment_is_timed_alone_and_in_its_rollout(monkeypatch):
    count = 2
    monkeypatch.setattr(environment, "EPISODES", 8)
    config = household.get_config(f"steppo,smoke,devices={count}")
    row = environment.measure(config, 3)
    assert (row["environment"], row["devices"]) == ("household", count)
    seconds = 8 * count * 4 / row["steps_per_second"]
    assert 0 < seconds < 60 and 0 < row["share"] < 1


def test_a_replay_is_the_episodes_that_were_played():
    env = envs.make("shop", max_steps=4)
    speak = jax.jit(lambda key: environment._spoken(env, key, 3))
    tasks, said = speak(jax.random.key(1))
    said = said.at[2, 1].set(0)  # malformed: it costs 0.1
    seen, reward = 0, 0.0
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    for n in range(3):
        task = jax.tree.map(lambda x, n=n: x[n], tasks)
        state, observation = reset(jax.random.key(0), task)
        seen += observation.sum()
        for t in range(4):
            state, observation, gain, _ = step(state, said[t, n])
            seen, reward = seen + observation.sum(), reward + gain
    found = jax.jit(lambda *args: environment._replay(env, *args))(tasks, said)
    assert found[0] == seen
    np.testing.assert_allclose(found[1], reward, rtol=1e-6)
    np.testing.assert_allclose(reward, -0.1, rtol=1e-6)


def test_a_missed_limit_is_said_of_environments():
    row = {"environment": "x", "devices": 1, "spread": 0.1, "least": 10, "most": 0.1}
    shown = benchmark.show_environments(
        [row | {"steps_per_second": s, "share": x} for s, x in ((9, 0.05), (10, 0.2))]
    )
    assert list(shown.columns[2].cells) == ["9 missed", "10"]
    assert list(shown.columns[4].cells) == ["5.0%", "20.0% missed"]


def test_a_missed_limit_is_said():
    row = {"call": "x", "seconds": 1, "spread": 0, "cpu_seconds": 1, "ratio": 5.0}
    cells = [
        next(iter(benchmark.show([row | {"limit": limit}]).columns[-1].cells))
        for limit in (4.0, 6.0, None)
    ]
    assert cells == ["4 missed", "6", ""]


def test_of_a_peer_the_second_call_of_a_turn_counts_too():
    calls = itertools.count(1)
    asks = {"job": lambda: dict.fromkeys(("wall", "cpu"), next(calls))}
    ours, theirs = turns.in_turns({"mine": lambda: None}, asks, 2)
    assert set(ours) == {"mine", "peer job"}
    assert theirs == {"job": timing.Timing((3, 5), (3, 5))}


def test_calls_take_turns_in_which_the_second_one_counts():
    seen = []
    found = timing.alternate({x: lambda x=x: seen.append(x) for x in "ab"}, 3)
    assert "".join(seen) == "ab" + "aabb" * 3
    assert all(len(t.wall) == len(t.cpu) == 3 for t in found.values())
    odd = timing.Timing((1.0, 9.0, 2.0), (3.0, 1.0, 2.0))
    assert (odd.seconds, odd.cpu_seconds) == (2.0, 2.0)
