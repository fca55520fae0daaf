"""`multihop_qa`: search passages for facts that join, then answer a question.

After HotpotQA with search: chains of two facts (bridge questions) and comparisons
over a generated base of facts, up to two queries a step, five steps, reward 1 for
exactly the answer. `world` has the facts, `index` the search.
"""

from __future__ import annotations

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import limits, responses
from steppo_jax.envs.base import TimeLimit
from steppo_jax.envs.multihop_qa import expert, language, panels, prompt, rules, world
from steppo_jax.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class MultihopQA:
    """The environment; `envs.base.Environment` says what each method is for.

    An answer ends the episode, right or wrong; so does a malformed response, with
    reward 0. A finished episode stays as it is: further steps give reward 0.
    """

    max_steps: int = 5
    think_tokens: int = 4  # words of thought the expert may say before an action
    on_time_limit: TimeLimit = "terminal"

    name: typing.ClassVar[str] = "multihop_qa"
    version: typing.ClassVar[str] = "2"  # best passage first; 1: unordered
    panels: typing.ClassVar[tuple[str, ...]] = panels.NAMES
    observation_length: typing.ClassVar[int] = prompt.LENGTH

    def __post_init__(self):
        limits.check(self)

    @property
    def response_length(self) -> int:
        return responses.length(language.ACTION_LENGTH, self.think_tokens)

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return language.vocabulary(self.max_steps)

    def sample_task(self, key: jax.Array, panel: str) -> rules.Task:
        return panels.TASKS.sample(key, panel)

    def panel(self, name: str) -> rules.Task:
        return panels.TASKS.frozen(name)

    def golden_steps(self, task: rules.Task) -> jax.Array:
        return expert.golden_steps(task)

    def reset(self, key: jax.Array, task: rules.Task) -> tuple[rules.State, jax.Array]:
        del key  # the task decides everything
        state = rules.initial_state(task)
        return state, prompt.observe(state, self.max_steps)

    def step(
        self, state: rules.State, response: jax.Array
    ) -> tuple[rules.State, jax.Array, jax.Array, jax.Array]:
        moved = rules.apply(state, *language.action_of(response))
        after = jax.tree.map(lambda a, b: jnp.where(state.over, a, b), state, moved)
        reward = (after.correct & ~state.over).astype(jnp.float32)
        return after, prompt.observe(after, self.max_steps), reward, after.over

    def outcome(self, state: rules.State) -> dict[str, jax.Array]:
        return {
            "success": state.correct.astype(jnp.float32),
            "answered": state.answered.astype(jnp.float32),
        }

    def state_key(self, observation: jax.Array) -> jax.Array:
        return prompt.state_key(observation)

    def expert(
        self, state: rules.State, key: jax.Array, noise: float = 0.0
    ) -> jax.Array:
        action_key, thought_key = jax.random.split(key)
        action = expert.noisy_action(state, action_key, noise)
        return language.say(action, thought_key, self.think_tokens)

    @property
    def instructions(self) -> str:
        return (
            "Answer a question from passages, each a fact: a name, a relation, and "
            "the name or year it leads to. Where a chain of relations is asked, the "
            "answer is the name it leads to; where two names are compared, the one "
            "whose year is later. You see the passages of your two newest queries; "
            "a search finds those that have most words of the query.\n"
            "You can say: search NAME RELATION, search NAME RELATION NAME RELATION, "
            "answer NAME. A name is two words.\n"
            f"Relations: {', '.join(world.RELATION_NAMES)}.\n"
            "An answer ends the task, and so does a response that is neither. A "
            "thought may come before the action: thought ; action."
        )

    def describe(self, observation: jax.Array) -> str:
        return prompt.describe(np.asarray(observation), self.vocabulary)

    def parse(self, text: str) -> jax.Array:
        """Text that is no action, or cannot be said, gives a malformed response."""
        return responses.tokens_of(text, self.vocabulary, self.response_length)

    def render(self, state: rules.State) -> str:
        return prompt.render(state, self.vocabulary, self.max_steps)
