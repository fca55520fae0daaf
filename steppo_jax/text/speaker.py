"""A language model in one episode that somebody watches, step by step."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from steppo_jax.engine import Engine, Request, Sampling
from steppo_jax.envs.base import Environment
from steppo_jax.text.environment import action_of
from steppo_jax.text.prompts import Prompter


@dataclasses.dataclass
class Speaker:
    """Called at each step of one episode; remembers what was said in it."""

    env: Environment
    engine: Engine
    prompter: Prompter
    max_new: int
    temperature: float
    past: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    before: tuple[list[int], list[int]] | None = None  # the last prompt and response

    def __call__(self, state, observation, key: jax.Array) -> tuple[jax.Array, str]:
        """(response tokens of the environment, the model's own words)."""
        del state  # a policy sees observations only
        words = self.say(self.env.describe(np.asarray(observation)), key)
        return self.env.parse(action_of(words)), words

    def say(self, seen: str, key: jax.Array) -> str:
        """The model's words after reading an observation."""
        if self.before is None:
            prompt = self.prompter.first(seen)
        else:
            prompt = self.prompter.next(seen, self.past, *self.before)
        request = Request(
            prompt=tuple(prompt),
            key=key,
            max_new=self.max_new,
            sampling=Sampling(temperature=self.temperature),
        )
        (said,) = self.engine.run([request])
        words = self.prompter.chat.decode(said.token)
        self.past.append((seen, words))
        self.before = (prompt, said.token.tolist())
        return words
