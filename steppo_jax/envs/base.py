"""The protocol of environments that run inside a compiled rollout.

An environment is a frozen dataclass of static settings; its state is a pytree,
so it can be branched, vmapped and restored. All methods on arrays are pure and
written for ONE episode; callers `vmap`. Observations and responses are token
ids, padded at the end with `vocabulary.PAD` to a fixed length.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import jax

from steppo_jax.vocabulary import Vocabulary

Task = Any  # pytree that says what is to be done and where things are
State = Any  # pytree, the whole state, hidden parts too
TimeLimit = Literal["terminal", "bootstrap"]
PANELS = ("train", "seen", "unseen")  # every environment has these three


class Environment(Protocol):
    """What rollout, warm start, evaluation and reports ask of an environment."""

    name: str
    version: str  # changes only when behaviour changes; stored with results
    vocabulary: Vocabulary
    observation_length: int  # L of observation tokens
    response_length: int  # L of response tokens: the most a policy may generate
    max_steps: int  # the task's own limit; the rollout truncates there
    on_time_limit: TimeLimit  # whether that limit is part of the objective
    panels: tuple[str, ...]  # names that `sample_task` and `panel` know
    instructions: str  # English rules of the game: what there is, what can be said

    def sample_task(self, key: jax.Array, panel: str) -> Task:
        """One task from the distribution of `panel`; jittable. Consumes key."""

    def panel(self, name: str) -> Task:
        """The frozen tasks of a panel, stacked on the first axis (≥ 512)."""

    def golden_steps(self, task: Task) -> jax.Array:
        """[] int32, the fewest steps that solve the task when everything is known."""

    def reset(self, key: jax.Array, task: Task) -> tuple[State, jax.Array]:
        """Starts an episode: (state, observation [observation_length])."""

    def step(
        self, state: State, response: jax.Array
    ) -> tuple[State, jax.Array, jax.Array, jax.Array]:
        """Acts out a response [response_length], which ends with EOS or is cut.

        Returns (state, observation, reward [] float32, terminated [] bool).
        Truncation at `max_steps` is the rollout's business, not the environment's.
        """

    def outcome(self, state: State) -> dict[str, jax.Array]:
        """Metrics of an episode that ended in `state`, [] float32; has "success"."""

    def state_key(self, observation: jax.Array) -> jax.Array:
        """[] uint32 hash of what matters in an observation (GiGPO's anchor state)."""

    def expert(self, state: State, key: jax.Array, noise: float = 0.0) -> jax.Array:
        """A scripted response; with chance `noise` a random well-formed action."""

    def describe(self, observation: jax.Array) -> str:
        """English of what the policy may see (host side)."""

    def parse(self, text: str) -> jax.Array:
        """Response tokens [response_length] for an English action (host side).

        Text that means no action gives a malformed response and raises nothing: a
        policy that writes text meets the same world as one that samples tokens.
        """

    def render(self, state: State) -> str:
        """The whole state, hidden parts too: for people and reports only."""
