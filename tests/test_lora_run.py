"""A run with adapters: the base never moves, and a cut run ends as the whole one."""

import json
import shutil

import jax
import numpy as np
import pytest

from configs import household
from steppo_jax import programs, train
from steppo_jax.checkpoint import Checkpoints
from tests.test_similar_run import lines

ITERATIONS = 3


def config():
    return household.get_config(
        f"grpo,smoke,devices=2,iterations={ITERATIONS},checkpoint.keep=9,"
        "model.lora_rank=2,model.lora_alpha=4,model.lora_layers=all,"
        "kl.kind=k3,kl.coef=0.1,kl.place=loss,objective.entropy_coef=0.1,"
        "eval.panels=seen,trajectories=0"
    )


def restored(workdir, iteration):
    fresh = programs.build(config()).learner.init(jax.random.key(0))
    folder = Checkpoints(workdir / "checkpoints", read_only=True)
    state = folder.restore(iteration, fresh)
    folder.close()
    return state


def checksums(workdir):
    folder = workdir / "checkpoints" / str(ITERATIONS) / "contents"
    return json.loads((folder / "metadata").read_text())["crc32"]


@pytest.mark.slow
def test_a_run_with_adapters_trains_them_alone_and_resumes_exactly(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train.run(config(), whole)
    start, end = (restored(whole, i) for i in (0, ITERATIONS))
    fixed = start.policy["params"]
    jax.tree.map(np.testing.assert_array_equal, end.policy["params"], fixed)
    adapters = (jax.tree.leaves(x.policy["lora"]) for x in (start, end))
    moved = [float(np.abs(a - b).max()) for a, b in zip(*adapters)]
    assert len(moved) == 2 * 7 and max(moved) > 1e-5
    assert lines(whole)[-1]["policy/sampler_gap_max"] < 1e-4
    assert lines(whole)[-1]["policy/reference_kl"] > 0
    shutil.copytree(whole, cut)
    for done in range(2, ITERATIONS + 1):
        shutil.rmtree(cut / "checkpoints" / str(done))
    train.run(config(), cut)
    assert lines(cut) == lines(whole)
    assert checksums(cut) == checksums(whole)
