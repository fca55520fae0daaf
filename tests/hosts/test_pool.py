"""Workers that answer, die, hang and lie: every episode is answered or lost."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from steppo_jax.hosts.pool import Limits, Lost, Pool, Seen
from tests.hosts.fakes import Corridors

LIMITS = Limits(reset=20.0, step=1.0)


def until_gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process ends in time; a zombie has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = (
                pathlib.Path(f"/proc/{pid}/stat")
                .read_text()
                .rpartition(")")[2]
                .split()[0]
            )
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def pool():
    made = Pool(Corridors(), 2, LIMITS)
    yield made
    made.close()


def answers(pool, count=1):
    found = []
    while len(found) < count:
        found += pool.poll(30.0)
    return found


def test_episodes_are_played_side_by_side(pool):
    for place, task in ((0, 0), (1, 1)):
        pool.reset(place, None, {"panel": "train", "task": task})
    first = {seen.place: seen for seen in answers(pool, 2)}
    assert first[1].observation == "You are at 0 of 2."
    assert first[0].reward == 0 and first[0].info["expert"] == "on"
    pool.step(0, "on")
    pool.step(1, "on")
    over = {seen.place: seen for seen in answers(pool, 2)}
    assert (over[0].reward, over[0].terminated) == (1.0, True)
    assert (over[1].reward, over[1].terminated) == (0.0, False)
    assert pool.restarts == 0 and len(set(pool.processes().values())) == 2


@pytest.mark.parametrize(
    ("action", "cause"),
    [
        ("die", "died"),
        ("hang", "time limit"),
        ("fail", "RuntimeError: two lines"),
        ("nan", "ValueError"),
    ],
)
def test_what_goes_wrong_loses_its_episode_only(pool, action, cause):
    pool.reset(0, None, {"task": 2})
    pool.reset(1, None, {"task": 2})
    answers(pool, 2)
    pids = pool.processes()
    pool.step(0, action)
    (lost,) = answers(pool)
    assert isinstance(lost, Lost) and lost.place == 0 and cause in lost.cause
    assert until_gone(pids[0]) and pool.restarts == 1
    pool.step(1, "on")
    pool.reset(0, None, {"task": 0})
    again = {seen.place: seen for seen in answers(pool, 2)}
    assert again[0].observation == "You are at 0 of 1."
    assert again[1].observation == "You are at 1 of 3."
    assert pool.processes()[0] != pids[0] and pool.processes()[1] == pids[1]


def test_what_an_environment_prints_is_no_answer(pool):
    pool.reset(0, None, {"task": 0})
    answers(pool)
    pool.step(0, "print")
    (seen,) = answers(pool)
    assert isinstance(seen, Seen) and pool.restarts == 0


def test_a_worker_that_dies_between_two_episodes_loses_none(pool):
    pool.reset(0, None, {"task": 0})
    answers(pool)
    pool.release(0)
    os.kill(pool.processes()[0], signal.SIGKILL)
    assert pool.poll(0.3) == []
    pool.reset(0, None, {"task": 0})
    (seen,) = answers(pool)
    assert isinstance(seen, Seen) and pool.restarts == 1


def test_an_environment_that_cannot_be_made_says_why():
    pool = Pool(Corridors(missing=True), 1, LIMITS)
    pool.reset(0, None, {"task": 0})
    (lost,) = answers(pool)
    assert lost.cause == "FileNotFoundError: no such game"
    pool.close()


def test_a_long_action_fits_through_the_pipe(pool):
    pool.reset(0, None, {"task": 0})
    answers(pool)
    pool.step(0, "on " * 200_000)
    (seen,) = answers(pool)
    assert isinstance(seen, Seen) and not seen.terminated


def test_closing_leaves_no_process(pool):
    pool.reset(0, None, {"task": 0})
    answers(pool)
    pool.step(0, "child")
    (seen,) = answers(pool)
    pids = [*pool.processes().values(), seen.info["child"]]
    assert all(os.path.exists(f"/proc/{pid}") for pid in pids)
    pool.close()
    assert all(until_gone(pid) for pid in pids)


def test_a_killed_run_leaves_neither_process_nor_folder():
    program = """
import sys, time
from steppo_jax.hosts.pool import Limits, Pool
from tests.hosts.fakes import Corridors
pool = Pool(Corridors(), 1, Limits(reset=20.0, step=5.0))
pool.reset(0, None, {"task": 0})
assert pool.poll(20.0)
pool.step(0, "child")
(seen,) = pool.poll(20.0)
pool.step(0, "hang")  # it will not look at its pipe before that ends
print(pool.processes()[0], seen.info["child"], pool._folder, flush=True)
time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
    )
    *words, folder = run.stdout.readline().split()
    pids = [int(x) for x in words]
    assert pathlib.Path(folder.decode()).is_dir()
    run.kill()
    run.wait()
    assert len(pids) == 2 and all(until_gone(pid) for pid in pids)
    assert not pathlib.Path(folder.decode()).exists()


def test_a_worker_knows_few_of_the_runs_variables(pool, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    pool.reset(0, None, {"task": 0})
    answers(pool)
    path = f"/proc/{pool.processes()[0]}/environ"
    names = {
        line.split(b"=")[0] for line in pathlib.Path(path).read_bytes().split(b"\0")
    }
    assert b"PATH" in names and b"PYTHONHASHSEED" in names
    assert b"SECRET_TOKEN" not in names
