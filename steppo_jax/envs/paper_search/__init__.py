"""`paper_search`: find the papers a query asks for, by search and by citations.

After PaSa and RealScholarQuery: a pool of papers grows by searches and by what
shown papers cite, and every step is paid for the best new papers it adds. Papers,
index and citations are generated and fixed (`graph`). One departure: a response
makes one call, where the original lets a step make five.
"""

from __future__ import annotations

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.base import PANELS, TimeLimit
from steppo_jax.envs.paper_search import expert, graph, language, panels, prompt, rules
from steppo_jax.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class PaperSearch:
    """The environment; `envs.base.Environment` says what each method is for.

    `stop` and a response that is no action end the episode with reward 0. A
    finished episode stays as it is: further steps give reward 0.
    """

    max_steps: int = 5  # the pool after so many steps is what counts
    think_tokens: int = 4  # words of thought the expert may say before an action
    on_time_limit: TimeLimit = "terminal"

    name: typing.ClassVar[str] = "paper_search"
    version: typing.ClassVar[str] = "1"
    panels: typing.ClassVar[tuple[str, ...]] = PANELS
    observation_length: typing.ClassVar[int] = prompt.LENGTH

    def __post_init__(self):
        for field, least in (("max_steps", 1), ("think_tokens", 0)):
            value = getattr(self, field)
            if type(value) is not int or value < least:
                raise ValueError(f"{field}: {value!r} is not a whole number ≥ {least}")
        limits = typing.get_args(TimeLimit)
        if self.on_time_limit not in limits:
            raise ValueError(
                f"on_time_limit: {self.on_time_limit!r} is not one of "
                f"{', '.join(limits)}"
            )

    @property
    def response_length(self) -> int:
        return language.response_length(self.think_tokens)

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return language.vocabulary(self.max_steps)

    # ---- tasks --------------------------------------------------------------
    def sample_task(self, key: jax.Array, panel: str) -> rules.Task:
        return panels.sample_task(key, panel)

    def panel(self, name: str) -> rules.Task:
        return panels.frozen(name)

    def golden_steps(self, task: rules.Task) -> jax.Array:
        """A lower bound: no step finds more than ten papers."""
        return expert.golden_steps(task)

    # ---- episodes -----------------------------------------------------------
    def reset(self, key: jax.Array, task: rules.Task) -> tuple[rules.State, jax.Array]:
        del key  # the task decides everything
        state = rules.initial_state(task, self.max_steps)
        return state, prompt.observe(state)

    def step(
        self, state: rules.State, response: jax.Array
    ) -> tuple[rules.State, jax.Array, jax.Array, jax.Array]:
        moved, gain = rules.apply(state, language.action_of(response))
        over = state.over
        after = jax.tree.map(lambda old, new: jnp.where(over, old, new), state, moved)
        reward = jnp.where(over, 0.0, gain).astype(jnp.float32)
        return after, prompt.observe(after), reward, after.over

    def outcome(self, state: rules.State) -> dict[str, jax.Array]:
        return rules.outcome(state)

    def state_key(self, observation: jax.Array) -> jax.Array:
        return prompt.state_key(observation)

    def expert(
        self, state: rules.State, key: jax.Array, noise: float = 0.0
    ) -> jax.Array:
        action_key, thought_key = jax.random.split(key)
        action = expert.noisy_action(state, action_key, noise)
        return language.say(action, thought_key, self.think_tokens)

    # ---- text ---------------------------------------------------------------
    @property
    def instructions(self) -> str:
        return (
            "Find the papers that have at least two topics of the query. A search "
            f"gives the {rules.NUM_RESULTS} papers that match most of its words, but "
            "the index knows only two of the three topics of a paper; expanding a "
            "shown paper gives all papers it cites. A step is paid the relevance of "
            f"its {rules.NUM_REWARDED} best new papers; a search said before, or "
            "expanding what is not there or was expanded, costs half a point. "
            "Anything that is no action ends the episode.\n"
            "You can say: search with one to three topics, expand with one of "
            f"{', '.join(language.SLOTS)}, or stop.\n"
            f"Topics: {', '.join(graph.TOPICS)}.\n"
            "A thought may come before the action: thought ; action."
        )

    def describe(self, observation: jax.Array) -> str:
        return prompt.describe(np.asarray(observation), self.vocabulary)

    def parse(self, text: str) -> jax.Array:
        """Text that is no action, or cannot be said, gives a malformed response."""
        return language.tokens_of(text, self.vocabulary, self.think_tokens)

    def render(self, state: rules.State) -> str:
        return prompt.render(state)
