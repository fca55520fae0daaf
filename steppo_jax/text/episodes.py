"""Playing text episodes with the engine: every finished response moves its episode on.

An episode waits for nobody else's: its next prompt joins the engine's queue as soon as
its environment has answered. Draws depend on the key, the trajectory, the step and the
token only, so neither slots nor order change an episode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from steppo_jax.actor.rollout import each
from steppo_jax.engine import Completion, Engine, Request, Sampling
from steppo_jax.hosts.base import TextEnvironment
from steppo_jax.text.environment import state_key
from steppo_jax.text.prompts import Prompter


@dataclasses.dataclass(frozen=True)
class Job:
    """One episode to be played."""

    traj_id: int
    group_id: int
    options: dict[str, Any]  # for the environment's reset
    seed: int | None = None  # the same


@dataclasses.dataclass
class Turn:
    """One step: what was read and said, and what came of it."""

    observation: str
    prompt: list[int]
    state_key: int
    token: np.ndarray  # [n] int32, as sampled
    log_prob: np.ndarray  # [n] float32
    policy_version: np.ndarray  # [n] int32
    response: str
    reward: float
    terminated: bool
    truncated: bool


@dataclasses.dataclass
class Episode:
    """A played episode, oldest turn first."""

    job: Job
    turns: list[Turn] = dataclasses.field(default_factory=list)
    outcome: dict[str, float] = dataclasses.field(default_factory=dict)
    next_prompt: list[int] | None = None  # of the state a limit cut off

    @property
    def past(self) -> list[tuple[str, str]]:
        return [(turn.observation, turn.response) for turn in self.turns]


@dataclasses.dataclass(frozen=True)
class PlaySettings:
    """How episodes are played."""

    max_steps: int
    max_new: int  # most tokens of a response
    temperature: float  # 0 takes the most likely token


class _Live:
    """An episode that is being played."""

    def __init__(self, job: Job, env: TextEnvironment, prompter: Prompter):
        self.episode, self.env, self.prompter = Episode(job), env, prompter
        self.observation, info = env.reset(seed=job.seed, options=job.options)
        self.key = state_key(self.observation, info)
        self.prompt = prompter.first(self.observation)

    def answer(self, said: Completion, text: str, max_steps: int) -> bool:
        """Acts a response out; True if the episode goes on."""
        observation, reward, terminated, cut, info = self.env.step(text)
        played = self.episode.turns
        cut = not terminated and (cut or len(played) + 1 >= max_steps)
        played.append(
            Turn(
                observation=self.observation,
                prompt=self.prompt,
                state_key=self.key,
                token=said.token,
                log_prob=said.log_prob,
                policy_version=said.policy_version,
                response=text,
                reward=float(reward),
                terminated=bool(terminated),
                truncated=cut,
            )
        )
        if terminated:
            self.episode.outcome = dict(info.get("outcome", {}))
            return False
        self.prompt = self.prompter.next(
            observation, self.episode.past, self.prompt, said.token.tolist()
        )
        self.observation, self.key = observation, state_key(observation, info)
        if cut:
            self.episode.outcome = dict(info.get("outcome", {}))
            self.episode.next_prompt = self.prompt
        return not cut


def play(
    engine: Engine,
    make: Callable[[], TextEnvironment],
    prompter: Prompter,
    jobs: Sequence[Job],
    key: jax.Array,
    settings: PlaySettings,
    tell: Callable[[int], None] = lambda done: None,
) -> list[Episode]:
    """Plays all jobs, as many at once as the engine has slots; episodes in their order.

    Args:
      make: a fresh environment; one is made for every episode in flight.
      key: folded with trajectory and step, never consumed.
      tell: told how many episodes are finished, whenever one is.
    """
    sampling = Sampling(temperature=settings.temperature)
    keys = _keys(key, [job.traj_id for job in jobs], settings.max_steps)
    lives = [_Live(job, make(), prompter) for job in jobs]
    running: dict[int, int] = {}

    def ask(i: int) -> None:
        live = lives[i]
        request = Request(
            prompt=tuple(live.prompt),
            key=keys[i, len(live.episode.turns)],
            max_new=settings.max_new,
            sampling=sampling,
        )
        running[engine.submit(request)] = i

    for i in range(len(lives)):
        ask(i)
    done = 0
    while running:
        for ticket, said in engine.step():
            i = running.pop(ticket)
            text = prompter.chat.decode(said.token)
            if lives[i].answer(said, text, settings.max_steps):
                ask(i)
            else:
                done += 1
                tell(done)
    return [live.episode for live in lives]


def _keys(key: jax.Array, ids: Sequence[int], steps: int) -> jax.Array:
    """[N, T] one key for every step of every trajectory, as `actor.rollout` has."""
    key_N = each(key, np.asarray(ids, np.int32))
    return jax.vmap(each, (0, None))(key_N, np.arange(steps))
