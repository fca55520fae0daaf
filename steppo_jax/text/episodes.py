"""Playing text episodes: every response moves its episode on, none waits for another.

Two queues feed each other. Who speaks (the engine) gets a prompt as soon as its
environment has answered, and the environment an action as soon as it was said; the
engine goes on decoding while environments think. Draws depend on the key, the
trajectory, the step and the token only, so neither slots, order nor time change an
episode. An episode that its environment lost is played again from the start, with the
same draws, so many times and no more.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from steppo_jax.actor.rollout import each
from steppo_jax.engine import Engine
from steppo_jax.errors import Refused
from steppo_jax.hosts.pool import Lost, Seen
from steppo_jax.text.environment import state_key
from steppo_jax.text.prompts import Prompter
from steppo_jax.text.stage import Stage
from steppo_jax.text.voices import EngineVoice, Said, Voice

WAIT = 1.0  # seconds to wait at most for an environment before looking again


class EpisodesLost(Refused):
    """An episode was lost more often than is allowed."""


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
    tries: int = 1  # how often an episode may be begun


@dataclasses.dataclass
class Tally:
    """What went on while episodes were played."""

    lost: int = 0  # episodes that their environment lost; all were played again
    restarts: int = 0  # environments that had to be started anew
    occupied: float = 0.0  # seconds × shares of the voice's slots that were in use
    seconds: float = 0.0
    causes: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )

    def add(self, busy: float, began: float) -> float:
        """Counts the time since `began` with this share busy; what time it is now."""
        now = time.monotonic()
        self.occupied += busy * (now - began)
        self.seconds += now - began
        return now


class _Live:
    """An episode that is being played."""

    def __init__(self, job: Job, prompter: Prompter):
        self.episode, self.prompter = Episode(job), prompter
        self.said: Said | None = None  # what the environment has yet to answer
        self.prompt: list[int] = []
        self.observation, self.info, self.key = "", {}, 0

    def see(self, seen: Seen, max_steps: int) -> bool:
        """Takes an answer; True if the episode goes on."""
        if self.said is None:
            self.prompt = self.prompter.first(seen.observation)
            self._stand(seen)
            return True
        said, turns = self.said, self.episode.turns
        cut = seen.truncated or len(turns) + 1 >= max_steps
        cut = cut and not seen.terminated
        turns.append(
            Turn(
                observation=self.observation,
                prompt=self.prompt,
                state_key=self.key,
                token=said.token,
                log_prob=said.log_prob,
                policy_version=said.policy_version,
                response=said.text,
                reward=float(seen.reward),
                terminated=seen.terminated,
                truncated=cut,
            )
        )
        if seen.terminated:
            self.episode.outcome = dict(seen.info.get("outcome", {}))
            return False
        self.prompt = self.prompter.next(
            seen.observation, self.episode.past, self.prompt, said.token.tolist()
        )
        self._stand(seen)
        if cut:
            self.episode.outcome = dict(seen.info.get("outcome", {}))
            self.episode.next_prompt = self.prompt
        return not cut

    def _stand(self, seen: Seen) -> None:
        self.observation, self.info = seen.observation, seen.info
        self.key = state_key(seen.observation, seen.info)


def play(
    engine: Engine,
    stage: Stage,
    prompter: Prompter,
    jobs: Sequence[Job],
    key: jax.Array,
    settings: PlaySettings,
    tell: Callable[[int], None] = lambda done: None,
    tally: Tally | None = None,
) -> list[Episode]:
    """Plays all jobs, the engine speaking; episodes in the order of the jobs.

    Args:
      stage: where environments are; as many episodes at once as it has places.
      key: folded with trajectory and step, never consumed.
      tell: told how many episodes are finished, whenever one is.
      tally: is given the counts of this play.

    Raises EpisodesLost where one was lost `settings.tries` times.
    """
    keys = _keys(key, [job.traj_id for job in jobs], settings.max_steps)
    voice = EngineVoice(
        engine, prompter.chat, keys, settings.max_new, settings.temperature
    )
    return drive(voice, stage, prompter, jobs, settings, tell, tally)


def drive(
    voice: Voice,
    stage: Stage,
    prompter: Prompter,
    jobs: Sequence[Job],
    settings: PlaySettings,
    tell: Callable[[int], None] = lambda done: None,
    tally: Tally | None = None,
) -> list[Episode]:
    """As `play`, whoever speaks."""
    tally = Tally() if tally is None else tally
    size = len(jobs) if stage.size is None else stage.size
    free = collections.deque(range(size))
    waiting = collections.deque(range(len(jobs)))
    tries: collections.Counter[int] = collections.Counter()
    lives: dict[int, _Live] = {}
    at: dict[int, int] = {}  # place → job
    where: dict[int, int] = {}  # job → place
    found: dict[int, Episode] = {}
    now, restarts = time.monotonic(), stage.restarts

    def begin() -> None:
        while free and waiting:
            place, i = free.popleft(), waiting.popleft()
            tries[i] += 1
            lives[i], at[place], where[i] = _Live(jobs[i], prompter), i, place
            stage.reset(place, jobs[i].seed, jobs[i].options)

    def leave(place: int) -> int:
        i = at.pop(place)
        del where[i]
        free.append(place)
        return i

    def lose(lost: Lost) -> None:
        if lost.place not in at:
            return  # a worker that died between two episodes
        i = leave(lost.place)
        del lives[i]
        voice.forget(i)
        tally.lost += 1
        tally.causes[lost.cause] += 1
        if tries[i] >= settings.tries:
            raise EpisodesLost(
                f"trajectory {jobs[i].traj_id} was lost {tries[i]} times, the last "
                f"time because {lost.cause}; mend the environment, give it more time "
                "(host.reset_seconds, host.step_seconds) or raise host.tries"
            )
        waiting.append(i)

    def see(seen: Seen) -> None:
        i = at[seen.place]
        if lives[i].see(seen, settings.max_steps):
            live = lives[i]
            voice.ask(i, len(live.episode.turns), live.prompt, live.info)
            return
        leave(seen.place)
        stage.release(seen.place)
        found[i] = lives.pop(i).episode
        tell(len(found))

    try:
        while len(found) < len(jobs):
            begin()
            for answer in stage.poll(0.0 if voice.busy else WAIT):
                lose(answer) if isinstance(answer, Lost) else see(answer)
            busy = voice.busy
            for i, said in voice.hear():
                lives[i].said = said
                stage.step(where[i], said.text)
            now = tally.add(busy, now)
    except BaseException:
        voice.silence()
        stage.abandon()
        raise
    tally.restarts += stage.restarts - restarts
    return [found[i] for i in range(len(jobs))]


def _keys(key: jax.Array, ids: Sequence[int], steps: int) -> jax.Array:
    """[N, T] one key for every step of every trajectory, as `actor.rollout` has."""
    key_N = each(key, np.asarray(ids, np.int32))
    return jax.vmap(each, (0, None))(key_N, np.arange(steps))
