"""The argument string that every configuration file understands.

    configs/household.py:METHOD[,smoke][,PRESET][,model=MODEL][,FIELD=VALUE …]

METHOD is a name of `steppo_jax.methods`, `smoke` shrinks the run to seconds, PRESET is
a word of the file's own (`paper`, where it has the paper's settings), MODEL is a
language model (`configs.models`: a name, or the folder of a checkpoint), and FIELD is
any dotted field, for example `credit.gamma=0.9`. Anything else is
refused with the names that exist. Lists are joined by `+`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from configs import models
from steppo_jax import methods, settings

# A run of seconds that learns nothing, whatever the environment.
SMOKE: dict[str, Any] = {
    "iterations": 3,
    "model.width": 16,
    "model.layers": 1,
    "model.heads": 2,
    "model.kv_heads": 2,
    "model.head_width": 8,
    "model.mlp_width": 32,
    "env.max_steps": 4,
    "rollout.groups": 4,
    "rollout.group_size": 4,
    "learner.minibatches": 2,
    "learner.microbatch": 8,
    "critic.warmup_iterations": 1,
    "warm_start.success": 0.0,
    "eval.episodes": 16,
    "checkpoint.every": 1,
    "trajectories": 1,
}


def cold() -> dict[str, Any]:
    """Fields of `warm_start` at their defaults: without one they have no effect."""
    plain = settings.flat(settings.tree())
    return {k: v for k, v in plain.items() if k.startswith("warm_start.")}


# What a word of an environment sets, given the configuration before it.
Word = Callable[[ml_collections.ConfigDict], Mapping[str, Any]]


def build(
    environment: str,
    arg: str,
    *,
    fields: Mapping[str, Any],
    over_model: Mapping[str, Any] = {},
    own: Mapping[str, Word] = {},
) -> ml_collections.ConfigDict:
    """The configuration for an argument string, locked but not yet checked.

    Layers, later ones win: the defaults of `settings`, `fields` of the environment,
    the method, the model (and `over_model` after it), the environment's `own` words
    and SMOKE where asked for, then single fields. Raises ConfigError.
    """
    method, *words = [word.strip() for word in arg.split(",")]
    named = [word for word in words if word.startswith("model=")]
    words = [word for word in words if word not in named]
    config = settings.tree()
    config.update_from_flattened_dict({"env.name": environment, **fields})
    methods.apply(config, method)
    label = f"{environment}:{method}"
    critic = config.critic.kind != "none"
    for word in named[:1]:
        model = word.partition("=")[2]
        label += f",model={model}"
        fields = models.fields(model)
        used = {
            k: v for k, v in fields.items() if critic or k.split(".")[0] != "critic"
        }
        config.update_from_flattened_dict(used | dict(over_model))
    if len(named) > 1:
        raise settings.ConfigError(f"config argument {named[1]!r}: one model is enough")
    for word in [word for word in own if word in words]:
        words.remove(word)
        label += f",{word}"
        config.update_from_flattened_dict(own[word](config))
    if "smoke" in words:
        words.remove("smoke")
        label += ",smoke"
        kept = () if critic else ("critic.",)
        kept += ("model.",) if named else ()  # a checkpoint has its own sizes
        small = cold() | {k: v for k, v in SMOKE.items() if not k.startswith(kept)}
        config.update_from_flattened_dict(small)
    config.preset = label
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            known = ", ".join(["smoke (once)", *own, "model=MODEL (once)"])
            known += " or FIELD=VALUE"
            raise settings.ConfigError(
                f"config argument {word!r} in {arg!r} is unknown; known after the "
                f"method ({', '.join(methods.METHODS)}): {known}"
            )
        if name == "preset":
            raise settings.ConfigError(
                f"config argument {word!r}: the preset is the first word; "
                f"write {environment}.py:{text}"
            )
        settings.update(config, name, text)
    return config
