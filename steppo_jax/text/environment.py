"""On-device environments through their English, as environments that speak text."""

from __future__ import annotations

import functools
import zlib
from typing import Any

import jax
import numpy as np

from steppo_jax.envs.base import Environment
from steppo_jax.hosts.base import Info


def state_key(observation: str, info: Info) -> int:
    """uint32, equal for steps that start from the same situation."""
    return info.get("state_key", zlib.crc32(observation.encode()))


def action_of(said: str) -> str:
    """The part of a response that acts: what stands after its last ';'."""
    return said.rpartition(";")[2]


class OnDevice:
    """An on-device environment as a text environment: the same keys, same episodes.

    `reset` takes the task and the key in `options`. Of what the policy says only the
    part after its last ';' is the action, so thoughts are free in words and length.
    """

    def __init__(self, env: Environment):
        self.env = env
        self._reset, self._step, self._outcome, self._key = _compiled(env)
        self._state: Any = None

    @property
    def instructions(self) -> str:
        return self.env.instructions

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[str, Info]:
        if options is None or "task" not in options:
            raise ValueError("an on-device environment is reset with options['task']")
        key = options.get("key")
        key = jax.random.key(seed or 0) if key is None else key
        self._state, seen = self._reset(key, options["task"])
        return self._say(seen)

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        response = self.env.parse(action_of(action))
        self._state, seen, reward, terminated = self._step(self._state, response)
        text, info = self._say(seen)
        return text, float(reward), bool(terminated), False, info

    def expert(self, key: jax.Array, noise: float) -> str:
        """What the scripted expert says now, as text without the end token."""
        said = _expert(self.env)(self._state, key, noise)
        words = self.env.vocabulary.decode(said).removesuffix("<eos>")
        return words.strip()

    def _say(self, seen: jax.Array) -> tuple[str, Info]:
        outcome = {k: float(v) for k, v in self._outcome(self._state).items()}
        info = {"state_key": int(self._key(seen)), "outcome": outcome}
        return self.env.describe(np.asarray(seen)), info


@functools.lru_cache(maxsize=8)
def _compiled(env: Environment):
    """The environment's functions for one episode, compiled once for all of them."""
    functions = (env.reset, env.step, env.outcome, env.state_key)
    return tuple(jax.jit(function) for function in functions)


@functools.lru_cache(maxsize=8)
def _expert(env: Environment):
    return jax.jit(env.expert)
