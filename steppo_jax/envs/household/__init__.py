"""`household`: find objects, clean, heat or cool them, put them or look at them.

After ALFWorld: six families of tasks, closed places hide what is in them, the reward
is 1 at success and 0 before, and only the text of the present observation is given.
Version 2 has four kinds of object, two of each, and nine receptacles; version 1 had
one family, four objects and eight.
"""

from __future__ import annotations

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import limits
from steppo_jax.envs.base import PANELS, TimeLimit
from steppo_jax.envs.household import expert, language, panels, prompt, rules
from steppo_jax.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Household:
    """The environment; `envs.base.Environment` says what each method is for.

    A finished episode stays as it is: further steps give reward 0.
    """

    max_steps: int = 20  # success within so many steps is the task
    think_tokens: int = 4  # words of thought the expert may say before an action
    on_time_limit: TimeLimit = "terminal"

    name: typing.ClassVar[str] = "household"
    version: typing.ClassVar[str] = "2"
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
        over = rules.solved(state)
        moved = rules.apply(state, language.action_of(response))
        after = jax.tree.map(lambda old, new: jnp.where(over, old, new), state, moved)
        terminated = rules.solved(after)
        reward = (terminated & ~over).astype(jnp.float32)
        return after, prompt.observe(after, self.max_steps), reward, terminated

    def outcome(self, state: rules.State) -> dict[str, jax.Array]:
        return {"success": rules.solved(state).astype(jnp.float32)}

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
        places = ", ".join(rules.RECEPTACLE_NAMES)
        processes = "; ".join(
            f"at {place} you can {verb} what you hold"
            for verb, place, _ in rules.PROCESSES
        )
        return (
            f"You are in a room with {places}. What can be opened must be open "
            "before you see or reach what is inside. You can hold one object; "
            f"{processes}. A lamp stands on the desk.\n"
            f"You can say: {', '.join(rules.ACTIONS)}.\n"
            "A thought may come before the action: thought ; action."
        )

    def describe(self, observation: jax.Array) -> str:
        return prompt.describe(np.asarray(observation), self.vocabulary)

    def parse(self, text: str) -> jax.Array:
        """Text that is no action, or cannot be said, gives a malformed response."""
        return language.tokens_of(text, self.vocabulary, self.think_tokens)

    def render(self, state: rules.State) -> str:
        return prompt.render(state)
