"""The configuration of the fake family, and where it is registered for a test."""

from configs import hosts as host_configs
from steppo_jax import hosts

PLACE = "tests.hosts.fakes:Chatty"
SMALL = (
    "lm.max_prompt=200",
    "lm.max_new=4",
    "lm.slots=3",
    "host.workers=2",
    "env.max_steps=2",
    "rollout.groups=2",
    "rollout.group_size=2",
    "learner.microbatch=2",
    "learner.minibatches=2",
    "eval.episodes=2",
    "eval.panels=test",
    "iterations=2",
    "devices=1",
)


def register(monkeypatch) -> None:
    monkeypatch.setitem(hosts._REGISTRY, "corridors", PLACE)


def config(folder, *words, method="steppo"):
    """A run of seconds in corridors with the model in a folder."""
    said = ",".join([method, "smoke", f"model={folder}", *SMALL, *words])
    fields = {"env.tools": None, "eval.panels": ("test",)}
    return host_configs.build("corridors", said, fields=fields)
