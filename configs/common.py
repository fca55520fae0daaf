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


def build(
    environment: str, arg: str, *, fields: Mapping[str, Any], smoke: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """The configuration for an argument string, locked but not yet checked.

    Layers, later ones win: the defaults of `settings`, `fields` of the environment,
    the method, `smoke` where asked for, then single fields. Raises ConfigError.
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
        small = {
            k: v for k, v in smoke.items() if critic or not k.startswith("critic.")
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
