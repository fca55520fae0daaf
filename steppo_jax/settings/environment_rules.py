"""Rules of the environment: on the device, or on the host, played in text."""

from __future__ import annotations

from steppo_jax import envs, hosts
from steppo_jax.envs import context
from steppo_jax.settings.errors import ConfigError, refuse, unknown
from steppo_jax.settings.needed import Values, needs, of_group

HOST = {"workers": 8, "reset_seconds": 60.0, "step_seconds": 30.0, "tries": 3}
OF_FAMILIES = ("variant", "tools", "data", "retriever", "encoder", "top", "history")
OF_FAMILIES += ("relevance",)


def environment(values: Values) -> None:
    settings = {k: v for k, v in of_group(values, "env.").items() if v is not None}
    policy, turns = values["context.policy"], values["context.turns"]
    needs(values, "context.turns", policy == "last", f"context.policy={policy}", 2)
    _gateway(values)
    name = values["env.name"]
    on_host = name in hosts.names()
    _on_host(values, name) if on_host else _on_device(values, name)
    try:
        environment = (hosts if on_host else envs).make(**settings)
    except ValueError as error:
        raise ConfigError(f"config.env: {error}") from None
    try:
        if values["lm.weights"] is None:  # a language model's is kept as text
            context.wrap(environment, policy, turns)
    except ValueError as error:
        raise ConfigError(f"config.context.turns: {error}") from None
    for panel in values["eval.panels"]:
        if panel not in environment.panels:
            raise unknown("config.eval.panels", panel, environment.panels)


def _on_device(values: Values, name: str) -> None:
    """What only environments on the host use is not given."""
    if name not in envs.names():
        raise unknown("config.env.name", name, (*envs.names(), *hosts.names()))
    fields = [f"host.{field}" for field in HOST]
    fields += [f"env.{field}" for field in OF_FAMILIES]
    for field in fields:
        needs(values, field, False, f"env.name={name}", None)


def _on_host(values: Values, name: str) -> None:
    """A language model plays, and there is an expert where one is cloned."""
    user = f"env.name={name}"
    if values["lm.weights"] is None:
        rule = f"{user} is played in text, by a language model"
        remedy = "add model=NAME to the config argument, or set --config.lm.weights"
        raise refuse("lm.weights", None, rule, remedy)
    played = name != "harness"
    for field, example in HOST.items():
        needs(values, f"host.{field}", played, user, example)
    if not played and values["gateway.staleness"] is None:
        rule = f"{user} is played outside, through the gateway"
        raise refuse(
            "gateway.staleness", None, rule, "set --config.gateway.staleness=0"
        )
    thoughts = values["env.think_tokens"]
    if thoughts:
        rule = f"{user} is played in text, where thoughts are free"
        raise refuse("env.think_tokens", thoughts, rule, "set 0")
    noise = values["warm_start.expert_noise"]
    if values["warm_start.success"] == 0:
        return
    if not hosts.load(hosts.place(name)).has_expert:
        success = values["warm_start.success"]
        raise refuse("warm_start.success", success, f"{user} has no expert", "set 0")
    if noise:
        rule = f"{user}: its expert's path is one that must not be left"
        raise refuse("warm_start.expert_noise", noise, rule, "set 0.0")


def _gateway(values: Values) -> None:
    """Rows from outside: a language model's, and no older than the update can use."""
    lag = values["gateway.staleness"]
    user = f"gateway.staleness={lag}"
    needs(values, "gateway.idle_seconds", lag is not None, user, 600.0)
    needs(values, "gateway.calls", lag is not None, user, 256)
    if lag is None:
        return
    if values["lm.weights"] is None:
        rule = f"{user}: programs outside talk to a language model"
        remedy = "add model=NAME to the config argument, or set --config.lm.weights"
        raise refuse("lm.weights", None, rule, remedy)
