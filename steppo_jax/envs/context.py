"""What of the past stands in the prompt: the context policy.

`rebuilt` is the environment's own observation, made anew at every step (the paper's
way). `Remembering` puts earlier turns before it, each the observation as it was fed
and the response as it was sampled, oldest first. With room for all of them the prompt
of step t + 1 begins with the whole sequence of step t: it only ever grows at its end,
so the steps of a trajectory could share one sequence.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from steppo_jax import vocabulary
from steppo_jax.envs.base import Environment

POLICIES = ("rebuilt", "last", "append")


def wrap(env: Environment, policy: str, turns: int | None) -> Environment:
    """`env` under a context policy; `turns` is how many `last` keeps.

    Raises ValueError for more turns than an episode has: that is `append`.
    """
    if policy == "rebuilt":
        return env
    most = env.max_steps - 1
    if policy == "last" and not 1 <= turns < most:
        raise ValueError(
            f"{turns} turns: an episode of {env.max_steps} steps has {most} earlier "
            "ones at most; use fewer, or the policy append"
        )
    return Remembering(env, most if policy == "append" else turns)


@struct.dataclass
class Memory:
    """The environment's state, and what was said before."""

    inner: Any
    observation: jax.Array  # [P] int32, the environment's own, of this step
    turns: jax.Array  # [K, P + R] int32, newest last
    lengths: jax.Array  # [K] int32 tokens of each; 0 = no such turn yet


@dataclasses.dataclass(frozen=True)
class Remembering:
    """An environment whose observations begin with its last `num_turns` turns.

    Everything that is not about observations is the environment's own.
    """

    env: Environment
    num_turns: int

    def __getattr__(self, name: str):
        return getattr(self.env, name)

    @property
    def observation_length(self) -> int:
        own = self.env.observation_length
        return own + self.num_turns * (own + self.env.response_length)

    def reset(self, key: jax.Array, task) -> tuple[Memory, jax.Array]:
        inner, observation = self.env.reset(key, task)
        width = self.env.observation_length + self.env.response_length
        state = Memory(
            inner=inner,
            observation=observation,
            turns=jnp.zeros((self.num_turns, width), jnp.int32),
            lengths=jnp.zeros((self.num_turns,), jnp.int32),
        )
        return state, self._prompt(state)

    def step(
        self, state: Memory, response: jax.Array
    ) -> tuple[Memory, jax.Array, jax.Array, jax.Array]:
        inner, observation, reward, terminated = self.env.step(state.inner, response)
        # A response ends with its first <eos>, or was cut and counts whole.
        places = jnp.arange(response.shape[0])
        ends = jnp.where(response == vocabulary.EOS, places + 1, response.shape[0])
        pieces = jnp.zeros((2, state.turns.shape[1]), jnp.int32)
        pieces = pieces.at[0, : state.observation.shape[0]].set(state.observation)
        pieces = pieces.at[1, : response.shape[0]].set(response)
        lengths = jnp.stack([vocabulary.length(state.observation), ends.min()])
        turn = joined(pieces, lengths, state.turns.shape[1])
        after = Memory(
            inner=inner,
            observation=observation,
            turns=jnp.concatenate([state.turns[1:], turn[None]]),
            lengths=jnp.append(state.lengths[1:], lengths.sum()),
        )
        return after, self._prompt(after), reward, terminated

    def _prompt(self, state: Memory) -> jax.Array:
        own = jnp.zeros((state.turns.shape[1],), jnp.int32)
        own = own.at[: state.observation.shape[0]].set(state.observation)
        lengths = jnp.append(state.lengths, vocabulary.length(state.observation))
        pieces = jnp.concatenate([state.turns, own[None]])
        return joined(pieces, lengths, self.observation_length)

    def outcome(self, state: Memory) -> dict[str, jax.Array]:
        return self.env.outcome(state.inner)

    def expert(self, state: Memory, key: jax.Array, noise: float = 0.0) -> jax.Array:
        return self.env.expert(state.inner, key, noise)

    def render(self, state: Memory) -> str:
        return self.env.render(state.inner)

    def state_key(self, observation: jax.Array) -> jax.Array:
        """The key of the newest observation: the same place is the same anchor,
        whatever was said on the way."""
        places = jnp.arange(observation.shape[0])
        start = newest(observation)
        rolled = jnp.roll(observation, -start)
        own = jnp.where(places < observation.shape[0] - start, rolled, vocabulary.PAD)
        return self.env.state_key(own[: self.env.observation_length])

    def describe(self, observation: jax.Array) -> str:
        """The earlier turns word for word, then the newest observation in English."""
        observation = np.asarray(observation)
        start = int(newest(jnp.asarray(observation)))
        own = np.zeros(self.env.observation_length, np.int32)
        rest = observation[start : start + len(own)]
        own[: len(rest)] = rest
        said = self.env.describe(own)
        if not start:
            return said
        special = {vocabulary.BOS: "\n-", vocabulary.EOS: "."}
        words = self.env.vocabulary.words
        past = observation[:start]
        earlier = [special.get(int(t), words[int(t)]) for t in past if t]
        return f"Earlier:{' '.join(['', *earlier]).replace(' .', '.')}\n{said}"


def newest(observation: jax.Array) -> jax.Array:
    """[] int32, where the newest observation begins: at the last <bos>.

    An environment's observation begins with <bos> and has no other.
    """
    places = jnp.arange(observation.shape[0])
    return jnp.max(jnp.where(observation == vocabulary.BOS, places, 0))


def joined(pieces: jax.Array, lengths: jax.Array, length: int) -> jax.Array:
    """[length] the first `lengths[i]` tokens of each of `pieces` [n, W], in order."""
    starts = jnp.cumsum(lengths) - lengths
    places = jnp.arange(pieces.shape[1])
    wanted = places[None] < lengths[:, None]
    to = jnp.where(wanted, starts[:, None] + places[None], length)
    blank = jnp.full((length,), vocabulary.PAD, jnp.int32)
    return blank.at[to.ravel()].set(pieces.ravel(), mode="drop")
