"""A language model on a mesh: it plays, learns, is evaluated and saved as on one device.

In this process, which has eight CPU devices; the model is random and tiny, of float32.
"""

import jax
import numpy as np
import pytest

from configs import household
from experiments.restored import restore
from steppo_jax import assembly, memory, records, settings, train
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.settings import ConfigError
from tests import compiling
from tests.text import tiny

SMALL = (
    "lm.max_prompt=600",
    "lm.max_new=6",
    "lm.slots=4",
    "env.max_steps=2",
    "rollout.groups=2",
    "rollout.group_size=2",
    "learner.microbatch=2",
    "learner.minibatches=1",
    "critic.warmup_iterations=0",
    "eval.episodes=2",
    "eval.panels=unseen",
    "iterations=3",
    "checkpoint.keep=5",
)
SIZES = [(2, 1, 1), (1, 2, 1), (1, 1, 2)]
# Log-probs differ in their last bits, and slots are shared differently.
OF_THE_ENGINE = ("time/", "rollout/", "policy/sampler_gap", "guard/")


def mesh(data: int, fsdp: int, tensor: int) -> tuple[str, ...]:
    sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
    return ("parallel.kind=mesh", *(f"parallel.{k}={v}" for k, v in sizes.items()))


def config(folder, *words):
    made = household.get_config(
        ",".join(["steppo", "smoke", f"model={folder}", *SMALL, *words])
    )
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two key/value heads: `tensor` has something to cut."""
    return tiny.write(tmp_path_factory.mktemp("paired"), kv_heads=2)


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """A finished run of one device, in which several updates of Adam were made."""
    workdir, made = tmp_path_factory.mktemp("alone"), config(folder, "devices=1")
    train.run(made, workdir)
    return workdir, made


def metrics(workdir):
    lines = records.read(workdir / "metrics.jsonl")
    return [{k: v for k, v in x.items() if not k.startswith(OF_THE_ENGINE)} for x in lines]


def alike(found, wanted, tolerance):
    for a, b in zip(found, wanted, strict=True):
        assert a.keys() == b.keys()
        for name, value in b.items():
            close = pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True)
            assert a[name] == close, name
