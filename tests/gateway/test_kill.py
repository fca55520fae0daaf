"""A miniature of tests.gateway.soak: kill -9, start again, nothing is missing."""

import os
import socket
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("STEPPO_SOAK") != "1", reason="of the long tier: STEPPO_SOAK=1"
)
def test_every_acknowledged_step_is_there_exactly_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.gateway.soak", f"--out={tmp_path}"]
    command += [f"--port={port}", "--made_up", "--soon", "--kills=1", "--harnesses=3"]
    done = subprocess.run(
        [*command, "--seconds=200"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, doubled 0, changed 0" in done.stdout
    assert "killed 1 times" in done.stdout
