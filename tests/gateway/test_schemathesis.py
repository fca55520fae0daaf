"""Requests that schemathesis makes from the gateway's own description.

It is installed by itself (`pip install 'steppo_jax[fuzz]'`, or anywhere, and then
STEPPO_SCHEMATHESIS=ITS/bin/schemathesis); STEPPO_GATEWAY_FUZZ says how many requests an
operation gets in each of its phases.
"""

import os
import shutil
import subprocess

import httpx2
import pytest

from steppo_jax.gateway import app, server
from steppo_jax.gateway.limits import Limits
from steppo_jax.gateway.programs import Source
from steppo_jax.gateway.terms import Terms
from tests.gateway import made_up
from tests.gateway.made import HELLO, chat, opened

COMMAND = os.environ.get("STEPPO_SCHEMATHESIS") or shutil.which("schemathesis")
COUNT = os.environ.get("STEPPO_GATEWAY_FUZZ", "20")
# Left out: what is right by the description may still be refused with a 400, by rules
# that a schema cannot say (a step's temperature, rewards that were paid).
LEFT_OUT = "positive_data_acceptance"
# What is no right body may be refused by its size alone.
RULES = """
[checks.negative_data_rejection]
expected-statuses = ["4xx", 503]
"""


@pytest.mark.slow
@pytest.mark.skipif(COMMAND is None, reason="schemathesis is not installed")
def test_what_it_makes_up_gets_what_the_description_says(tmp_path):
    token, path = "0123456789abcdef", tmp_path / "x.jsonl"
    terms = Terms(1000, 2, 9, 0, 600.0, False)
    (tmp_path / "schemathesis.toml").write_text(RULES)
    with made_up.serving(path, terms) as calls:
        source = Source(calls)
        source.begin(0, 0, {})
        http = server.Server(app.build(calls, Limits(), token), "127.0.0.1", 0)
        http.start()
        url = f"http://127.0.0.1:{http.port}"
        login = {"authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=url, timeout=60, headers=login) as client:
            quiet = opened(client, "quiet", number=0)
            before = chat(client, HELLO, quiet).json()
            done = subprocess.run(
                [
                    *(COMMAND, "run", f"{url}/openapi.json"),
                    *("--header", f"Authorization: Bearer {token}"),
                    *("--checks", "all", "--exclude-checks", LEFT_OUT),
                    *("--max-examples", COUNT, "--seed", "1", "--no-color"),
                    "--continue-on-failure",
                ],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=1800,
            )
            print(done.stdout)
            assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
            held = source.pool.find(quiet[17:])
            assert [step.call for step in held.steps] == [before["id"]]
            assert chat(client, HELLO, quiet).status_code == 200
        http.stop()
