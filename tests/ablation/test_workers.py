"""Processes that make batches: all of them once, failures told, none left behind."""

import io
import os
import pathlib
import time

import pytest

from configs.ablations import common
from steppo_jax.ablation import plan, workers
from steppo_jax.ablation.overall import Overall
from steppo_jax.errors import Refused

CELLS = {"a": "household:steppo", "b": "household:ppo", "c": "household:grpo"}
pytestmark = pytest.mark.slow


def pretend(ablation: str, folder: pathlib.Path, tell):
    """A worker that writes which process and cores it had; some of its runs fail."""

    def work(batch):
        (run,) = batch.runs
        tell("advance", run.name, {"train/success": 0.5})
        if run.name == "b/seed-0":
            raise Refused("cannot go on")
        if run.name == "b/seed-1":
            raise KeyError("a defect")
        if run.name == "c/seed-1":
            os._exit(7)
        cores = sorted(os.sched_getaffinity(0))
        name = run.name.replace("/", "-")
        (folder / name).write_text(f"{ablation} {os.getpid()} {cores}")
        time.sleep(0.2)  # so that both workers get some

    return work


def test_every_batch_is_made_once_and_failures_are_told(tmp_path):
    runs = common.build("t", "", CELLS, seeds=range(2)).runs()
    stream = io.StringIO()
    overall = Overall("t", 6, 0, stream=stream)
    failed = workers.run(plan.batches(runs, 1), 2, "t", tmp_path, overall, pretend)
    made = {p.name: p.read_text().split(" ", 2) for p in tmp_path.glob("?-seed-?")}
    assert set(made) == {"a-seed-0", "a-seed-1", "c-seed-0"}
    assert set(failed) == {"b/seed-0", "b/seed-1", "c/seed-1"}
    assert failed["b/seed-0"] == "cannot go on"
    assert failed["b/seed-1"].startswith("KeyError: 'a defect'; see")
    assert "ended with code 7" in failed["c/seed-1"]
    assert overall._done == 6
    logs = "".join(p.read_text() for p in tmp_path.glob("worker-*.log"))
    assert "Traceback" in logs and "a defect" in logs
    for _, pid, _ in made.values():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_workers_have_cores_of_their_own():
    here = sorted(os.sched_getaffinity(0))
    shares = [workers._share(i, len(here)) for i in range(len(here))]
    assert sorted(core for share in shares for core in share) == here
    assert workers._share(0, len(here) + 1) is None  # more processes than cores
