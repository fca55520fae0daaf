"""Killed at any moment, a run ends bit for bit as if nothing had happened."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest

ROOT = pathlib.Path(__file__).parents[1]
ITERATIONS = 12
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Compiled programs, shared by the processes of this file."""
    return tmp_path_factory.mktemp("compiled")


def command(workdir, iterations=ITERATIONS):
    config = f"configs/household.py:steppo,smoke,iterations={iterations}"
    return [
        sys.executable,
        "-m",
        "experiments.train",
        f"--config={config}",
        "--config.devices=2",
        "--config.checkpoint.every=4",
        "--config.eval.every=5",
        f"--workdir={workdir}",
    ]


def start(workdir, cache, **options):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        command(workdir, **options),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(workdir, cache, **options):
    process = start(workdir, cache, **options)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def lines(path):
    if not path.exists():
        return []
    return [json.loads(x) for x in path.read_text().splitlines() if x.endswith("}")]


def stop_after(workdir, cache, ready, number):
    """Starts the run and sends `number` as soon as `ready()` holds."""
    process = start(workdir, cache)
    deadline = time.monotonic() + 300
    while not ready() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    return process.returncode, out


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    workdir = tmp_path_factory.mktemp("whole")
    finish(workdir, cache)
    return workdir


def without_clock(records):
    return [{k: v for k, v in r.items() if not k.startswith("time/")} for r in records]


def final_arrays(workdir):
    manager = ocp.CheckpointManager(workdir / "checkpoints")
    assert manager.latest_step() == ITERATIONS
    folder = workdir / "checkpoints" / str(ITERATIONS)
    tree = ocp.StandardCheckpointer().restore(next(folder.glob("tree*")))
    manager.close()
    return tree


def assert_same(workdir, whole):
    import jax

    one, two = (without_clock(lines(w / "metrics.jsonl")) for w in (workdir, whole))
    assert [r["iteration"] for r in one] == list(range(ITERATIONS))
    assert one == two
    one, two = (
        dict(jax.tree_util.tree_leaves_with_path(final_arrays(w)))
        for w in (workdir, whole)
    )
    assert one.keys() == two.keys() and len(one) > 20
    for path, x in one.items():
        np.testing.assert_array_equal(x, two[path], err_msg=str(path))
    for panel in ("seen", "unseen"):
        name = f"eval/{panel}.jsonl"
        assert lines(workdir / name) == lines(whole / name)


def test_kill_9_twice_and_resume(tmp_path, whole, cache):
    metrics = tmp_path / "metrics.jsonl"
    for count in (2, 7):  # before the second checkpoint, and between two
        code, out = stop_after(
            tmp_path, cache, lambda c=count: len(lines(metrics)) >= c, signal.SIGKILL
        )
        assert code == -signal.SIGKILL, out
    out = finish(tmp_path, cache)
    assert "resuming after iteration" in out
    assert_same(tmp_path, whole)


def test_kill_before_the_first_checkpoint(tmp_path, whole, cache):
    code, out = stop_after(
        tmp_path, cache, lambda: (tmp_path / "config.json").exists(), signal.SIGKILL
    )
    assert code == -signal.SIGKILL, out
    finish(tmp_path, cache)
    assert_same(tmp_path, whole)


def test_sigterm_saves_and_says_so(tmp_path, whole, cache):
    metrics = tmp_path / "metrics.jsonl"
    code, out = stop_after(
        tmp_path, cache, lambda: len(lines(metrics)) >= 2, signal.SIGTERM
    )
    assert code == 128 + signal.SIGTERM, out
    saved = len(lines(metrics))
    assert f"SIGTERM: saved after iteration {saved}" in out
    assert f"resuming after iteration {saved}" in finish(tmp_path, cache)
    assert_same(tmp_path, whole)


def test_more_iterations_end_as_a_run_of_so_many(tmp_path, whole, cache):
    """It ends after 7 with a checkpoint and an evaluation that a run of 12 has not."""
    finish(tmp_path, cache, iterations=7)
    out = finish(tmp_path, cache)
    assert "resuming after iteration 7" in out
    assert "changed: config.iterations: the run has 7, now 12" in out
    assert_same(tmp_path, whole)


def test_a_finished_run_is_left_as_it_is(whole, cache):
    before = lines(whole / "metrics.jsonl")
    finish(whole, cache)
    assert lines(whole / "metrics.jsonl") == before
