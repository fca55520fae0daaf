"""The argument string that every configuration file understands.

    configs/household.py:METHOD[,smoke][,FIELD=VALUE …]

METHOD is a name of `steppo_jax.methods`, `smoke` shrinks the run to seconds, and
FIELD is any dotted field, for example `credit.gamma=0.9`. Anything else is
refused with the names that exist. Lists are joined by `+`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_collections

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


def build(
    environment: str, arg: str, *, fields: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """The configuration for an argument string, locked but not yet checked.

    Layers, later ones win: the defaults of `settings`, `fields` of the environment,
    the method, SMOKE where asked for, then single fields. Raises ConfigError.
    """
    method, *words = [word.strip() for word in arg.split(",")]
    config = settings.tree()
    config.update_from_flattened_dict({"env.name": environment, **fields})
    methods.apply(config, method)
    label = f"{environment}:{method}"
    if "smoke" in words:
        words.remove("smoke")
        label += ",smoke"
        critic = config.critic.kind != "none"
        # Without a warm start its other fields would have no effect.
        plain = settings.flat(settings.tree())
        cold = {k: v for k, v in plain.items() if k.startswith("warm_start.")}
        small = cold | {
            k: v for k, v in SMOKE.items() if critic or not k.startswith("critic.")
        }
        config.update_from_flattened_dict(small)
    config.preset = label
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            known = "smoke (once) or FIELD=VALUE"
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
