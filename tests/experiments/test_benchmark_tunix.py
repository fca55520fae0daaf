"""`--what=tunix`: the same model and the same number of tokens on both sides."""

import dataclasses
import json
import sys
import textwrap

import pytest
from absl.testing import flagsaver

from steppo_jax.benchmarks import tunix_peer
from steppo_jax.benchmarks.timing import Timing
from steppo_jax.errors import Refused
from tests import entry_points

benchmark = entry_points.load("benchmark")
its_flags = entry_points.with_flags("benchmark")

FAKE = """
    import json, sys
    about = {"google-tunix": "0", "given": sys.argv[4:]}
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        assert line == "iteration\\n"
        print(json.dumps({"wall": 100.0, "cpu": 200.0}), flush=True)
"""
SMALL = tunix_peer.Work(
    width=16,
    layers=1,
    heads=2,
    kv_heads=1,
    head_width=8,
    mlp_width=24,
    words=32,
    prompt=6,
    new=3,
    groups=2,
    size=2,
    microbatch=2,
)


def test_both_sides_are_given_the_same_work(tmp_path, capsys, monkeypatch):
    code = tmp_path / "fake.py"
    code.write_text(textwrap.dedent(FAKE))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {code} "$@"\n')
    python.chmod(0o755)
    made = []
    theirs = tunix_peer._theirs

    def seen(*args):
        made.append(theirs(*args))
        return made[-1]

    monkeypatch.setattr(tunix_peer, "_theirs", seen)
    monkeypatch.setattr(tunix_peer, "Work", lambda: SMALL)
    with flagsaver.flagsaver(what="tunix", repeats=3, peer=str(python)):
        benchmark.main()
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    # 4 answers of 3 words; embedding and head, attention, MLP and norms by hand.
    layer = 2 * 16 * 16 + 2 * 8 * 16 + 3 * 16 * 24 + 2 * 16 + 2 * 8
    assert record["weights"] == 2 * 32 * 16 + layer + 16
    for row in record["rows"]:
        assert row["tokens_per_second"] == pytest.approx(12 / row["seconds"])
        assert row["peer_tokens_per_second"] == pytest.approx(0.12)
        assert row["times_peer"] == pytest.approx(100 / row["seconds"])
        assert row["peer_limit"] == 2
        assert row["most_times_peer"] == pytest.approx(100 / row["products_seconds"])
    grpo, ppo = record["rows"]
    assert grpo["products_seconds"] < ppo["products_seconds"]
    sizes = dataclasses.asdict(SMALL)
    for other, (ppo, groups, size) in zip(made, ((0, 2, 2), (1, 4, 1)), strict=True):
        wanted = sizes | {"ppo": ppo, "groups": groups, "size": size}
        del wanted["microbatch"]
        assert set(other.about["given"]) == {f"{k}={v}" for k, v in wanted.items()}
    with flagsaver.flagsaver(what="tunix"), pytest.raises(Refused, match="--peer"):
        benchmark.main()


def test_the_floor_counts_each_part_as_often_as_an_iteration_has_it():
    parts = ("a word", "prompts", "policy", "values", "critic")
    took = {
        part: Timing((10.0**i,), (10.0**i,)) for i, part in enumerate(reversed(parts))
    }
    # 4 answers of 3 words in slices of 2.
    assert tunix_peer.floor("grpo", took, SMALL) == 31_200
    assert tunix_peer.floor("ppo", took, SMALL) == 31_222


def test_our_policy_learns_in_every_timed_iteration():
    for method in ("grpo", "ppo"):
        iteration, *_ = tunix_peer._ours(method, SMALL, 1)
        first = iteration()
        assert first["policy/grad_norm"] > 0, method
