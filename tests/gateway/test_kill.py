"""A miniature of tests.gateway.soak: kill -9, start again, nothing is missing."""

import concurrent.futures
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx2
import pytest

from tests.gateway import soak

STEPS = 12  # acknowledged before the kill, and again after it


def acknowledged(told: pathlib.Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in told.glob("*.jsonl"))


def until(true, server: subprocess.Popen) -> None:
    while not true():
        assert server.poll() is None, "the gateway ended by itself"
        time.sleep(0.05)


def collecting(url: str) -> bool:
    try:
        found = httpx2.get(f"{url}/v1/status", timeout=60).json()
    except httpx2.TransportError:
        return False
    return found["pool"]["phase"] == "collecting"


@pytest.mark.slow
def test_every_acknowledged_step_is_there_exactly_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, told, over = f"http://127.0.0.1:{port}", tmp_path / "told", threading.Event()
    told.mkdir()
    command = [sys.executable, "-m", "tests.gateway.soak", f"--out={tmp_path}"]
    command += [f"--port={port}", "--role=gateway", "--made_up"]

    def start() -> subprocess.Popen:
        with (tmp_path / "gateway.log").open("a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    going = lambda: not over.is_set()  # noqa: E731
    players = concurrent.futures.ThreadPoolExecutor(3)
    server = start()
    try:
        until(lambda: collecting(url), server)
        ends = [players.submit(soak.harness, url, n, told, going) for n in range(3)]
        until(lambda: acknowledged(told) >= STEPS, server)
        server.send_signal(signal.SIGKILL)
        server.wait()
        before = acknowledged(told)
        server = start()
        until(lambda: acknowledged(told) >= before + STEPS, server)
    finally:
        over.set()
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        players.shutdown()
    assert all(isinstance(end.exception(), SystemExit) for end in ends)
    found = soak.judge(tmp_path, told)
    assert found["acknowledged"] >= 2 * STEPS
    assert (found["lost"], found["doubled"], found["changed"]) == (0, 0, 0), found
