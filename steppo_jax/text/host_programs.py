"""The programs of a run in real text environments, which live in worker processes.

As `text.programs`, with a `hosts` family for the environment: tasks are numbers of a
panel, drawn from the run's keys, and workers may be lost on the way.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from steppo_jax import draws
from steppo_jax.actor.rollout import train_tasks
from steppo_jax.hosts.base import HostFamily
from steppo_jax.hosts.pool import Limits, Pool
from steppo_jax.structs import Tokens
from steppo_jax.text import cloning, sharing, tables
from steppo_jax.text.episodes import Episode, Job, PlaySettings, Tally, drive
from steppo_jax.text.evaluator import Player
from steppo_jax.text.programs import TextPrograms
from steppo_jax.text.prompts import Prompter
from steppo_jax.text.voices import ExpertVoice
from steppo_jax.warm_start import CloneSettings


def job(traj_id: int, group_id: int, panel: str, task: int) -> Job:
    """An episode of a family's task; the same task is always the same game."""
    options = {"panel": panel, "task": int(task)}
    return Job(int(traj_id), int(group_id), options, seed=int(task))


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Numbers of tasks, drawn as on-device environments draw their tasks."""

    size: int

    def sample_task(self, key: jax.Array, panel: str) -> jax.Array:
        """[] int32, one of `size` tasks. Consumes key."""
        del panel  # `size` is its size
        return jax.random.randint(key, (), 0, self.size)


@dataclasses.dataclass(frozen=True)
class HostPrograms(TextPrograms):
    """As `TextPrograms`, for a config whose env.name is a host family."""

    env: HostFamily

    @functools.cached_property
    def pool(self) -> Pool:
        """Workers start when they are needed and live as long as these programs."""
        host = self.config.host
        limits = Limits(reset=host.reset_seconds, step=host.step_seconds)
        return Pool(self.env, host.workers, limits)

    def _stage(self) -> Pool:
        return self.pool

    def _play_settings(self, temperature: float) -> PlaySettings:
        settings = super()._play_settings(temperature)
        return dataclasses.replace(settings, tries=self.config.host.tries)

    @functools.cached_property
    def _tasks(self) -> Any:
        drawn = Drawn(self.env.size("train"))
        return jax.jit(functools.partial(train_tasks, drawn))

    def _jobs(self, task_key, key, traj_N: np.ndarray, group_N: np.ndarray):
        del key  # its environments draw nothing from it
        task_N = np.asarray(self._tasks(task_key, group_N))
        return [job(*x, "train", t) for *x, t in zip(traj_N, group_N, task_N)]

    def _counted(self, tally: Tally) -> dict[str, float]:
        return {
            "rollout/lost_episodes": float(tally.lost),
            "rollout/worker_restarts": float(tally.restarts),
            # Depends on the clock, so it stands with what a resumed run may change.
            "time/slots_occupied": tally.occupied / max(tally.seconds, 1e-9),
        }

    def evaluator(self, decoding: str) -> HostEvaluator:
        temperature = self.config.rollout.temperature if decoding == "sampled" else 0.0
        return HostEvaluator(self.env, self.play, temperature)

    def _demonstrations(self) -> HostDemonstrations:
        lm = self.config.lm
        return HostDemonstrations(
            self.pool,
            self.prompter,
            self.clone_settings(),
            self._play_settings(0.0),
            lm.max_prompt,
            self.env.size("train"),
        )


@dataclasses.dataclass(frozen=True)
class HostEvaluator:
    """As `text.evaluator.TextEvaluator`, for a family's panels."""

    env: HostFamily
    player: Player
    temperature: float  # 0 = greedy

    def tasks(self, panel: str, episodes: int) -> list[Job]:
        """The first tasks of a panel, all of them where it has fewer."""
        count = min(episodes, self.env.size(panel))
        return [job(n, n, panel, n) for n in range(count)]

    def golden_steps(self, tasks: list[Job], outcome: dict) -> np.ndarray:
        """[N] steps of the expert's path: the family's, or as an episode told."""
        told = outcome.get("golden_steps", np.full(len(tasks), np.nan, np.float32))
        known = [self.env.golden_steps(**task.options) for task in tasks]
        wanted = [t if k is None else k for k, t in zip(known, told, strict=True)]
        return np.asarray(wanted, np.float32)

    def __call__(self, params, tasks: list[Job], key) -> dict[str, np.ndarray]:
        """Outcome of every task, in order: success, return, steps, tokens, …"""
        return tables.outcome(self.player(params, tasks, key, self.temperature))


@dataclasses.dataclass(frozen=True)
class HostDemonstrations:
    """Expert episodes of the train panel, drawn afresh for every cloning update."""

    pool: Pool
    prompter: Prompter
    settings: CloneSettings
    play: PlaySettings
    max_prompt: int
    size: int  # tasks of the train panel

    def tokens(self, key: jax.Array) -> Tokens:
        """`settings.episodes` episodes as a table. Refused where one does not fit."""
        id_N = np.arange(self.settings.episodes)
        drawn = train_tasks(Drawn(self.size), draws.key_of(key, "tasks"), id_N)
        jobs = [job(n, n, "train", task) for n, task in enumerate(np.asarray(drawn))]
        voice = ExpertVoice(self.prompter.chat)

        def own(jobs: list[Job]) -> list[Episode]:
            return drive(voice, self.pool, self.prompter, jobs, self.play)

        episodes = sharing.played(jobs, own)
        for episode in episodes:
            cloning.check_length(episode, self.play.max_new)
        rolled = tables.of_episodes(
            episodes,
            self.play.max_steps,
            self.max_prompt,
            self.play.max_new,
            bootstrap=False,
        )
        return rolled.tokens
