"""`shop`: find an item that has what is wanted, choose its options, buy it.

After WebShop: search, results, item pages, and WebShop's score. The catalogue is
generated, with words for titles, and five results are shown a page. Reward: 10
for buying with a full score and 0 for buying anything else (the score itself is
in the outcome), −0.1 for a response that is no action.
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
from steppo_jax.envs.shop import catalogue, expert, language, panels, prompt, rules
from steppo_jax.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Shop:
    """The environment; `envs.base.Environment` says what each method is for.

    A finished episode stays as it is: further steps give reward 0.
    """

    max_steps: int = 15  # success within so many steps is the task
    think_tokens: int = 4  # words of thought the expert may say before an action
    on_time_limit: TimeLimit = "terminal"

    name: typing.ClassVar[str] = "shop"
    version: typing.ClassVar[str] = "2"  # queries of five words; 1: of four
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
        return expert.golden_steps(task)

    # ---- episodes -----------------------------------------------------------
    def reset(self, key: jax.Array, task: rules.Task) -> tuple[rules.State, jax.Array]:
        del key  # the task decides everything
        state = rules.initial_state(task)
        return state, prompt.observe(state, self.max_steps)

    def step(
        self, state: rules.State, response: jax.Array
    ) -> tuple[rules.State, jax.Array, jax.Array, jax.Array]:
        over = state.page == rules.BOUGHT
        action = language.action_of(response)
        moved = rules.apply(state, action)
        after = jax.tree.map(lambda old, new: jnp.where(over, old, new), state, moved)
        malformed = jnp.where(
            action.kind == rules.MALFORMED, rules.MALFORMED_REWARD, 0.0
        )
        full = rules.task_score(after) >= rules.FULL_SCORE
        reward = jnp.where(full, rules.FULL_REWARD, malformed)
        reward = jnp.where(over, 0.0, reward).astype(jnp.float32)
        terminated = after.page == rules.BOUGHT
        return after, prompt.observe(after, self.max_steps), reward, terminated

    def outcome(self, state: rules.State) -> dict[str, jax.Array]:
        score = rules.task_score(state)
        full = score >= rules.FULL_SCORE
        return {"success": full.astype(jnp.float32), "score": score}

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
            "You are in a shop of many items. From the search page, search for up "
            f"to {rules.QUERY_LENGTH} words; items that match more of them come "
            "first. Click an item to open it, choose a colour and a size that it "
            "offers, and buy it. Buying ends the task.\n"
            f"You can say: search WORDS, click {', click '.join(rules.CLICKS)}.\n"
            f"Words: {', '.join(catalogue.QUERY_WORDS)}. Prices go from "
            f"{catalogue.PRICES[0]}, the lowest, to {catalogue.PRICES[-1]}.\n"
            "A thought may come before the action: thought ; action."
        )

    def describe(self, observation: jax.Array) -> str:
        return prompt.describe(np.asarray(observation), self.vocabulary)

    def parse(self, text: str) -> jax.Array:
        """Text that is no action, or cannot be said, gives a malformed response."""
        return responses.tokens_of(text, self.vocabulary, self.response_length)

    def render(self, state: rules.State) -> str:
        return prompt.render(state, self.vocabulary, self.max_steps)
