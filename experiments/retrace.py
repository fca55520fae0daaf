"""The command that repeats a run, worked out from its settings."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import shlex
from typing import Any

from steppo_jax import settings
from steppo_jax.study.run import Run

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"


def command(values: dict[str, Any]) -> str | None:
    """`python -m experiments.train …` of a preset; None where it has no config file.

    Settings that the preset does not give stand behind it, the seed among them; the
    number of devices is left to the machine.
    """
    environment, _, method = values["preset"].partition(":")
    if not (CONFIGS / f"{environment}.py").exists():
        return None
    module = importlib.import_module(f"configs.{environment}")
    try:
        given = settings.flat(module.get_config(method))
    except settings.ConfigError:
        return None
    words = [f"--config=configs/{environment}.py:{method}"]
    for name, value in values.items():
        value = tuple(value) if isinstance(value, list) else value
        known = given[name] == value or name in ("preset", "devices")
        if not known:
            words.append(f"--config.{name}={_text(value)}")
    return shlex.join(["python", "-m", "experiments.train", *words, "--workdir=DIR"])


def _text(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def with_command(run: Run) -> Run:
    """The run with that command in its origin, unless it has one."""
    if "command" in run.origin:
        return run
    found = command(dict(run.settings))
    if found is None:
        return run
    return dataclasses.replace(run, origin={**run.origin, "command": found})
