"""Where text episodes are acted out: environments that answer when they can.

`hosts.pool.Pool` is the stage of workers; `Inline` plays in this process, at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from steppo_jax.hosts.base import Info, TextEnvironment
from steppo_jax.hosts.pool import Lost, Seen


class Stage(Protocol):
    """Places for one episode each, numbered from 0."""

    size: int | None  # places; None = as many as there are episodes
    restarts: int  # environments that had to be started anew, so far

    def reset(self, place: int, seed: int | None, options: Info) -> None:
        """Asks for the first observation of an episode."""

    def step(self, place: int, action: str) -> None:
        """Acts; nothing may be asked at a place that has not answered."""

    def poll(self, seconds: float) -> list[Seen | Lost]:
        """What was answered; waits so long at most for the first answer."""

    def release(self, place: int) -> None:
        """The episode at a place is over."""

    def abandon(self) -> None:
        """Nobody wants what is still to come."""


class Inline:
    """Environments in this process; a fresh one for every episode."""

    size, restarts = None, 0

    def __init__(self, make: Callable[[], TextEnvironment]):
        self._make = make
        self._envs: dict[int, TextEnvironment] = {}
        self._answers: list[Seen | Lost] = []

    def reset(self, place: int, seed: int | None, options: Info) -> None:
        env = self._envs[place] = self._make()
        observation, info = env.reset(seed=seed, options=options)
        self._answers.append(Seen(place, observation, info))

    def step(self, place: int, action: str) -> None:
        observation, reward, terminated, cut, info = self._envs[place].step(action)
        self._answers.append(Seen(place, observation, info, reward, terminated, cut))

    def poll(self, seconds: float) -> list[Seen | Lost]:
        answers, self._answers = self._answers, []
        return answers

    def release(self, place: int) -> None:
        del self._envs[place]

    def abandon(self) -> None:
        self._envs.clear()
        self._answers.clear()
