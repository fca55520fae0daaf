"""Read a page of random words and say something: one step of a language model's RL.

No environment at all, so that what is timed is reading, sampling and learning, as in
code bases that train on prompts. The reward is the share of words of even number.
"""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp

from steppo_jax.vocabulary import PAD, SPECIAL, Vocabulary


@dataclasses.dataclass(frozen=True)
class Recital:
    """An environment as `envs.base` asks for one, as far as rollout and update go."""

    words: int = 2048
    observation_length: int = 64
    response_length: int = 32

    name: typing.ClassVar[str] = "recital"
    version: typing.ClassVar[str] = "1"
    max_steps: typing.ClassVar[int] = 1
    on_time_limit: typing.ClassVar[str] = "terminal"
    panels: typing.ClassVar[tuple[str, ...]] = ("train",)

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.of([f"w{i}" for i in range(self.words - len(SPECIAL))])

    def sample_task(self, key: jax.Array, panel: str) -> jax.Array:
        """The words of the page, none of them special."""
        del panel
        shape = (self.observation_length,)
        return jax.random.randint(key, shape, len(SPECIAL), self.words)

    def reset(self, key: jax.Array, task: jax.Array) -> tuple[jax.Array, jax.Array]:
        del key
        return task, task

    def step(self, state: jax.Array, response: jax.Array):
        said = response != PAD
        even = (said & (response % 2 == 0)).sum() / jnp.maximum(said.sum(), 1)
        return state, state, even, jnp.bool_(True)

    def outcome(self, state: jax.Array) -> dict[str, jax.Array]:
        return {"success": jnp.float32(0) * state[0]}

    def state_key(self, observation: jax.Array) -> jax.Array:
        return observation.sum().astype(jnp.uint32)
