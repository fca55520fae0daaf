"""Several processes: who takes part, and that two are as good as one."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from configs import household
from experiments import devices
from steppo_jax import processes, train
from steppo_jax.mesh import Mesh
from steppo_jax.processes import Group, ProcessesError
from steppo_jax.settings import ConfigError
from tests.learner import layouts
from tests.processes import bare, child, kills

ROOT = pathlib.Path(__file__).parents[2]
ADDRESSES = {
    "STEPPO_COORDINATOR": "10.0.0.1:8476",
    "STEPPO_PROCESSES": "4",
    "STEPPO_PROCESS_ID": "3",
}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-4]",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
}


@pytest.mark.parametrize(
    ("environ", "group"),
    [
        ({}, None),
        (ADDRESSES, Group("10.0.0.1:8476", 4, 3)),
        (ADDRESSES | SLURM, Group("10.0.0.1:8476", 4, 3)),
        (SLURM, Group()),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, None),  # a shell, no step
        ({"STEPPO_CLUSTER": "tpu"}, Group()),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, Group()),
        ({"TPU_WORKER_HOSTNAMES": "a"}, None),
    ],
)
def test_the_environment_says_who_takes_part(environ, group):
    assert processes.found(environ) == group


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        *(
            ({k: v for k, v in ADDRESSES.items() if k != name}, f"without {name}: set")
            for name in ADDRESSES
        ),
        (ADDRESSES | {"STEPPO_COORDINATOR": "10.0.0.1"}, "give host:port"),
        (ADDRESSES | {"STEPPO_PROCESS_ID": "4"}, r"one of 0 … processes − 1"),
        (ADDRESSES | {"STEPPO_PROCESSES": "four"}, "give the number"),
        ({"STEPPO_CLUSTER": "slurm"}, "the only value is tpu"),
        (
            {k: v for k, v in SLURM.items() if k != "SLURM_LOCALID"},
            "without SLURM_LOCALID: start with srun",
        ),
    ],
)
def test_a_half_given_set_is_refused(environ, says):
    with pytest.raises(ProcessesError, match=says):
        processes.found(environ)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("devices=2", "kind='pmap': 2 processes share a mesh; set"),
        (f"{child.MESH},parallel.data=3", "3 devices do not divide over 2 processes"),
    ],
)
def test_what_several_processes_cannot_run_is_refused(words, says):
    config = household.get_config(f"steppo,smoke,{words}")
    with pytest.raises(ConfigError, match=says):
        devices.settle(config, 2)


def test_a_refusal_of_one_is_a_refusal_of_all(monkeypatch):
    monkeypatch.setattr(processes, "any_of", lambda flag: True)  # of another process
    with pytest.raises(ProcessesError, match="another process was refused"):
        processes.together(lambda: 1)
    with pytest.raises(ConfigError, match="mine"):
        processes.together(lambda: (_ for _ in ()).throw(ConfigError("mine")))


@pytest.mark.slow
def test_none_waits_for_one_that_was_killed_and_all_stop_in_one_round():
    command = [sys.executable, "-m", "tests.processes.bare", "--kills=2"]
    done = subprocess.run(
        [*command, "--signals", "KILL", "TERM"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"fine": true') == 4


def start(workdir: pathlib.Path, port: int, index: int) -> subprocess.Popen:
    """One of two processes of a long run that sleeps between its iterations."""
    given = {
        "STEPPO_COORDINATOR": f"127.0.0.1:{port}",
        "STEPPO_PROCESSES": "2",
        "STEPPO_PROCESS_ID": str(index),
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-m", "tests.processes.child", str(workdir), "60", "0.3"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_are_as_good_as_one(tmp_path):
    """Metrics, state, SIGTERM to one of them, and the way back to one process.

    With STEPPO_POD=full the gradient in float64, too.
    """
    port = bare.free_port()
    both = [start(tmp_path / "two", port, i) for i in range(2)]
    try:
        deadline = time.monotonic() + 500
        while not kills.lines(tmp_path / "two"):
            ended = [x for x in both if x.poll() is not None]
            assert not ended, ended[0].communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        both[1].send_signal(signal.SIGTERM)  # the one that writes nothing
        told = [x.communicate(timeout=200)[0] for x in both]
    finally:
        for one in both:
            one.kill()
    assert [x.returncode for x in both] == [143, 143], told
    done = len(kills.lines(tmp_path / "two"))
    assert f"SIGTERM: saved after iteration {done}" in told[0]
    assert "SIGTERM" not in told[1]  # process 0 speaks for both
    assert kills.newest(tmp_path / "two") == done

    mesh = Mesh(tuple(jax.devices()[:2]), 2, 1, 1)
    if child.full():
        step = np.load(tmp_path / "two" / "step.npy")
        assert layouts.apart(step, child.step_of_one_update(mesh)) < 1e-12
    p = child.programs(mesh, done + 1)
    train.learn(p, tmp_path / "two" / "run", accept_changes=True)
    train.learn(p, tmp_path / "one" / "run")
    whole = kills.lines(tmp_path / "one")
    assert kills.lines(tmp_path / "two") == whole and len(whole) == done + 1
    ends = [train.trained(p, tmp_path / x / "run") for x in ("one", "two")]
    for a, b in zip(*map(jax.tree.leaves, ends)):
        if not jax.numpy.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(a, b)
