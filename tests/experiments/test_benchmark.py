"""`experiments.benchmark` at a tiny size: what it measures, not how long it takes."""

import json

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from configs import household
from experiments import benchmark
from steppo_jax import credit as estimators
from steppo_jax.benchmarks import credit, timing

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
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["benchmark"])
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


def test_a_missed_limit_is_said():
    row = {"call": "x", "seconds": 1, "spread": 0, "cpu_seconds": 1, "ratio": 5.0}
    cells = [
        next(iter(benchmark.show([row | {"limit": limit}]).columns[-1].cells))
        for limit in (4.0, 6.0, None)
    ]
    assert cells == ["4 missed", "6", ""]


def test_calls_take_turns_after_one_that_does_not_count():
    seen = []
    found = timing.alternate({x: lambda x=x: seen.append(x) for x in "ab"}, 3)
    assert "".join(seen) == "ab" * 4
    assert all(len(t.wall) == len(t.cpu) == 3 for t in found.values())
    odd = timing.Timing((1.0, 9.0, 2.0), (3.0, 1.0, 2.0))
    assert (odd.seconds, odd.cpu_seconds) == (2.0, 2.0)
