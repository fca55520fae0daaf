"""A multi-turn MDP as tables, and a tabular policy that speaks token by token."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from steppo_jax.truth.language import Language

TimeLimit = Literal["terminal", "bootstrap"]


@dataclasses.dataclass(frozen=True, eq=False)
class Mdp:
    """S states that go on and one, numbered S, that ends the episode.

    Letters here: S states, A actions, T steps before the limit, K nodes of the
    response tree, V words.
    """

    name: str
    language: Language
    transition: np.ndarray  # [S, A, S + 1] probability of what comes next
    reward: np.ndarray  # [S, A, S + 1] reward of that transition
    start: np.ndarray  # [S] probability that a task starts here
    max_steps: int  # T: the limit
    on_time_limit: TimeLimit  # part of the task, or only of the collection

    def __post_init__(self):
        for name, table in (("transition", self.transition), ("start", self.start)):
            if (table < 0).any() or not np.allclose(table.sum(-1), 1, atol=1e-12):
                raise ValueError(f"{self.name}: rows of {name} are no distributions")
        if self.reward.shape != self.transition.shape:
            raise ValueError(
                f"{self.name}: reward {self.reward.shape} and transition "
                f"{self.transition.shape} differ in shape"
            )
        if self.language.meaning.max() >= self.transition.shape[1]:
            raise ValueError(f"{self.name}: the language means actions that are not")

    @property
    def num_states(self) -> int:
        return len(self.start)

    @property
    def expected_reward(self) -> np.ndarray:
        """[S, A] float64, E[r | s, a]."""
        return (self.transition * self.reward).sum(-1)


@dataclasses.dataclass(frozen=True)
class Discount:
    """γ from step to step and γ from token to token inside a step.

    Discounting per step is (γ, 1); per token, as token GAE does, is (γ, γ): a step
    of n tokens then discounts by γⁿ, and its reward by γⁿ⁻¹ seen from its first.
    """

    step: float = 1.0
    token: float = 1.0


UNDISCOUNTED = Discount()


def probabilities(logits: np.ndarray, language: Language) -> np.ndarray:
    """[S, K, V] π(token | state, node) = softmax of the legal logits [S, K, V]."""
    legal = language.legal
    kept = np.where(legal, logits, -np.inf)
    weight = np.exp(kept - kept.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def uneven_logits(mdp: Mdp, spread: float = 1.0) -> np.ndarray:
    """[S, K, V] fixed logits without a pattern, of the size of `spread`.

    A policy that is neither uniform nor nearly deterministic, the same everywhere:
    no generator of random numbers is involved.
    """
    shape = (mdp.num_states, mdp.language.num_nodes, len(mdp.language.words))
    count = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    return spread * np.sin(1.0 + 2.399963 * count)
