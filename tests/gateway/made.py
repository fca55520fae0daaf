"""A gateway around the tiny model, without a training loop, and a client to call it."""

from __future__ import annotations

import contextlib

from starlette.testclient import TestClient

from configs import harness
from steppo_jax import settings
from steppo_jax.gateway import app, run
from steppo_jax.gateway.limits import Limits
from steppo_jax.gateway.programs import Source
from steppo_jax.text import programs as text

SMALL = (
    "lm.max_prompt=400",
    "lm.max_new=6",
    "lm.slots=4",
    "env.max_steps=3",
    "rollout.groups=2",
    "rollout.group_size=2",
    "learner.microbatch=2",
    "learner.minibatches=2",
    "eval.episodes=1",
    "iterations=2",
    "devices=1",
)
HELLO = [{"role": "user", "content": "Say on to walk on."}]


def config(folder, *words, method="grpo"):
    """A run of seconds that is played outside, with the model in a folder."""
    said = ",".join([method, "smoke", f"model={folder}", *SMALL, *words])
    found = harness.get_config(said)
    settings.check(found)
    return found


@contextlib.contextmanager
def gateway(inner: text.TextPrograms, folder, params, *, limits=None, token=None):
    """(client, source) of a gateway whose record is in `folder`, with weights."""
    with run.serving(inner, folder) as calls:
        source = Source(calls)
        if params is not None:
            source.begin(0, 0, params)
        made = app.build(calls, limits or Limits(), token)
        with TestClient(made, raise_server_exceptions=False) as client:
            yield client, source


def chat(client, messages=HELLO, at="/v1", headers=None, **more):
    body = {"model": "policy", "messages": messages, **more}
    return client.post(f"{at}/chat/completions", json=body, headers=headers)


def opened(client, group="a", **more) -> str:
    """The address of a new trajectory."""
    answer = client.post("/v1/trajectories", json={"task": "t", "group": group, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["base_url"]


def played(client, group="a", steps=1, reward=1.0, **more) -> str:
    """A closed trajectory, and where it was."""
    at = opened(client, group, **more)
    messages = list(HELLO)
    for _ in range(steps):
        answer = chat(client, messages, at)
        assert answer.status_code == 200, answer.text
        said = answer.json()["choices"][0]["message"]
        messages += [said, {"role": "user", "content": "go on"}]
    done = client.post(f"{at}/close", json={"end": "terminated", "reward": reward})
    assert done.status_code == 200, done.text
    return at
