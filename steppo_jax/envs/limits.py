"""Settings that every environment has, checked in one way."""

from __future__ import annotations

import typing

from steppo_jax.envs.base import Environment, TimeLimit


def check(env: Environment) -> None:
    """ValueError, with the setting's name, for a value no environment can take."""
    for field, least in (("max_steps", 1), ("think_tokens", 0)):
        value = getattr(env, field)
        if type(value) is not int or value < least:
            raise ValueError(f"{field}: {value!r} is not a whole number ≥ {least}")
    limits = typing.get_args(TimeLimit)
    if env.on_time_limit not in limits:
        raise ValueError(
            f"on_time_limit: {env.on_time_limit!r} is not one of {', '.join(limits)}"
        )
