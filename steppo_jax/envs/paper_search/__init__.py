"""`paper_search`: find the papers a query asks for, by search and by citations.

After PaSa and RealScholarQuery: a pool of papers grows by searches and by what
shown papers cite, and every step is paid the relevance of the three best new
papers it adds, or −0.5 where it repeats. Papers, index and citations are generated
and fixed (`graph`). Success is a recall of 0.8 or more when the episode ends; F1
is in the outcome. Departures: a response makes one call, where the original lets
a step make five, and relevance is known exactly, not judged by a model.
"""

from __future__ import annotations

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import limits, responses
from steppo_jax.envs.base import PANELS, TimeLimit
from steppo_jax.envs.paper_search import (
    expert,
    golden,
    graph,
    language,
    panels,
    prompt,
    rules,
)
from steppo_jax.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class PaperSearch:
    """The environment; `envs.base.Environment` says what each method is for.

    A response that is no action ends the episode with reward 0, as the original's
    without a call does. A finished episode stays as it is: further steps give
    reward 0.
    """

    max_steps: int = 5  # the pool after so many steps is what counts
    think_tokens: int = 4  # words of thought the expert may say before an action
    on_time_limit: TimeLimit = "terminal"

    name: typing.ClassVar[str] = "paper_search"
    version: typing.ClassVar[str] = "1"
    panels: typing.ClassVar[tuple[str, ...]] = PANELS
    observation_length: typing.ClassVar[int] = prompt.LENGTH

    def __post_init__(self):
        limits.check(self)

    @property
    def response_length(self) -> int:
        return language.response_length(self.think_tokens)

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return language.vocabulary(self.max_steps)

    # ---- tasks --------------------------------------------------------------
    def sample_task(self, key: jax.Array, panel: str) -> rules.Task:
        return panels.TASKS.sample(key, panel)

    def panel(self, name: str) -> rules.Task:
        return panels.TASKS.frozen(name)

    def golden_steps(self, task: rules.Task) -> jax.Array:
        return golden.steps(task)

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
            f"gives the {rules.NUM_RESULTS} papers that have most of its words, but "
            "the index does not know every paper; expanding a shown paper gives the "
            f"{graph.NUM_CITED} papers it cites, and those that the index does not "
            "know are cited first. Papers without a topic of the query are dropped. "
            f"A step is paid the relevance of its {rules.NUM_REWARDED} best new "
            "papers, the square of the share of the query's topics a paper has; a "
            "search said before, or expanding what is not shown or was expanded, "
            f"costs half a point. After {self.max_steps} steps the pool is judged: "
            f"at least {rules.ENOUGH:.0%} of those papers should be in it. A "
            "response that is no action ends the search at once.\n"
            "You can say: search with one to three topics, or expand with one of "
            f"{', '.join(language.SLOTS)}.\n"
            f"Topics: {', '.join(graph.TOPICS)}.\n"
            "A thought may come before the action: thought ; action."
        )

    def describe(self, observation: jax.Array) -> str:
        return prompt.describe(np.asarray(observation), self.vocabulary)

    def parse(self, text: str) -> jax.Array:
        """Text that is no action, or cannot be said, gives a malformed response."""
        return responses.tokens_of(text, self.vocabulary, self.response_length)

    def render(self, state: rules.State) -> str:
        return prompt.render(state)
