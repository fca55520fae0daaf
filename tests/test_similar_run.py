"""Runs with anchor states by similar text: nothing recompiles, resume is exact."""

import json
import shutil

import pytest

from configs import household
from steppo_jax import train
from tests import compiling

ITERATIONS = 4


def config():
    """Cloned until some episodes succeed: without rewards nothing would be learned."""
    return household.get_config(
        "gigpo,smoke,credit.similarity=0.9,devices=2,eval.episodes=8,"
        f"iterations={ITERATIONS},checkpoint.keep={ITERATIONS + 1},"
        "warm_start.success=0.02,warm_start.expert_noise=0,warm_start.max_updates=400,"
        "warm_start.learning_rate=0.01,model.width=32,env.max_steps=8"
    )


def lines(workdir):
    records = [json.loads(x) for x in (workdir / "metrics.jsonl").open()]
    return [
        {name: x for name, x in record.items() if not name.startswith("time/")}
        for record in records
    ]


def checksums(workdir):
    """CRC-32 of every array of the last checkpoint, by path."""
    folder = workdir / "checkpoints" / str(ITERATIONS) / "contents"
    return json.loads((folder / "metadata").read_text())["crc32"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, and how much was compiled before each line of metrics."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, compiling.run(config(), workdir)


def test_nothing_compiles_after_the_second_iteration(whole):
    _, counts = whole
    assert counts[0] > 0 and counts[1:] == [counts[1]] * (ITERATIONS - 1)


def test_a_run_cut_in_the_middle_ends_as_the_whole_one(whole, tmp_path):
    workdir, _ = whole
    cut = tmp_path / "cut"
    shutil.copytree(workdir, cut)
    for done in range(3, ITERATIONS + 1):
        shutil.rmtree(cut / "checkpoints" / str(done))
    train.run(config(), cut)
    assert lines(cut) == lines(workdir)
    assert len({line["policy/loss"] for line in lines(cut)}) > 1
    assert len(checksums(cut)) > 20
    assert checksums(cut) == checksums(workdir)
