"""The programs of a run whose rows come through the gateway.

As `text.programs` and `text.host_programs`; only the source of rows is another:
`collect` gives the engine the iteration's weights and waits for complete groups, and
what the update finds is shown on the page. Panels are played in this process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from steppo_jax import settings
from steppo_jax.actor.rollout import Rollout
from steppo_jax.errors import Refused
from steppo_jax.gateway.book import Trajectory
from steppo_jax.gateway.calls import Calls
from steppo_jax.gateway.pool import Pool
from steppo_jax.gateway.terms import Terms
from steppo_jax.learner.state import LearnerState
from steppo_jax.text import programs as text
from steppo_jax.text.environment import state_key
from steppo_jax.text.episodes import Episode, Job, Turn
from steppo_jax.text.host_programs import HostPrograms
from steppo_jax.text.programs import Played, TextPrograms

WAIT = 0.2  # seconds between two looks at what else has happened


class Interrupted(Exception):
    """The run is to stop while it waits for rows."""


@dataclasses.dataclass
class Source:
    """Where rows come from, and whether anybody wants them still.

    Args:
      saved: iteration of the oldest checkpoint that a restart may go on from.
    """

    calls: Calls
    stopping: Callable[[], bool] = lambda: False
    saved: Callable[[], int] = lambda: 0

    @property
    def pool(self) -> Pool:
        return self.calls.pool

    def begin(self, iteration: int, version: int, params: Any) -> None:
        """The engine samples with these weights from now on."""
        # The update consumes its state, and the engine goes on beside it.
        copy = jax.tree.map(jnp.copy, params)
        self.calls.serving.refresh(copy, version)
        self.pool.begin(iteration, version)
        self.pool.shorten(self.saved)

    def wait(self) -> list[Trajectory]:
        """The trajectories of the iteration. Raises Interrupted."""
        with self.pool.changed:
            while True:
                found = self.pool.release()
                if found is not None:
                    return found
                if self.stopping():
                    raise Interrupted
                if self.calls.serving.failed is not None:
                    raise RuntimeError("the engine failed") from (
                        self.calls.serving.failed
                    )
                self.pool.changed.wait(WAIT)

    def learned(self, taken: list[Trajectory], advantage_NT: np.ndarray) -> None:
        """What the update made of an iteration's steps."""
        with self.pool.changed:
            for one, row in zip(taken, advantage_NT, strict=True):
                one.advantages = [float(x) for x in row[: len(one.steps)]]


class _Outside:
    """`collect` and `update` of programs whose episodes are played outside."""

    def collect(self, state: LearnerState) -> Rollout:
        """Rows of the current iteration: of the groups that are complete first."""
        rows: Source = self.rows
        counts = rows.pool.book.counts.copy()
        rows.begin(int(state.iteration), int(state.num_updates), state.policy)
        taken = rows.wait()
        self.compiled["taken"] = taken
        size = self.config.rollout.group_size
        episodes = [episode(n, n // size, one) for n, one in enumerate(taken)]
        rolled = self._tables(episodes)
        new = rows.pool.book.counts - counts
        return rolled.replace(
            episodes=Played(tuple(episodes)), measured=_measured(taken, new)
        )

    @property
    def update(self) -> Any:
        learn = super().update

        def update(*tables):
            state, metrics, seen = learn(*tables)
            steps = self.config.env.max_steps
            advantage = np.asarray(seen["advantage"]).reshape(-1, steps)
            taken = self.compiled.get("taken")
            if taken is not None:
                self.rows.learned(taken, advantage)
            return state, metrics, seen

        return update


@dataclasses.dataclass(frozen=True)
class OutsidePrograms(_Outside, TextPrograms):
    """Of a config whose panels are on the device."""

    _: dataclasses.KW_ONLY
    rows: Source


@dataclasses.dataclass(frozen=True)
class OutsideHostPrograms(_Outside, HostPrograms):
    """Of a config whose panels are a host family's, or nobody's."""

    _: dataclasses.KW_ONLY
    rows: Source


def build(config: ConfigDict, rows_of: Callable[[TextPrograms], Source]) -> Any:
    """Programs for a checked config with gateway.staleness.

    Args:
      rows_of: makes the source, given the programs without it.
    """
    if config.gateway.staleness is None:
        raise settings.ConfigError(
            "config.gateway.staleness=None: this run collects its own rows; start it "
            "with experiments.train, or set --config.gateway.staleness=0, "
            "gateway.idle_seconds=600 and gateway.calls=256"
        )
    inner = text.build(config)
    if inner.meshed or len(inner.devices.devices) != 1:
        raise Refused(
            "the gateway serves and learns on one device: set --config.devices=1 and "
            "--config.parallel.kind=pmap"
        )
    hosted = isinstance(inner, HostPrograms)
    kind = OutsideHostPrograms if hosted else OutsidePrograms
    given = {
        field.name: getattr(inner, field.name)
        for field in dataclasses.fields(inner)
        if field.init
    }
    return kind(**given, rows=rows_of(inner))


def terms(config: ConfigDict) -> Terms:
    """What of a config the pool goes by."""
    return Terms(
        groups=config.rollout.groups,
        group_size=config.rollout.group_size,
        max_steps=config.env.max_steps,
        staleness=config.gateway.staleness,
        idle_seconds=config.gateway.idle_seconds,
        bootstrap=config.env.on_time_limit == "bootstrap",
    )


def episode(n: int, group: int, one: Trajectory) -> Episode:
    """A closed trajectory as the tables read it."""
    last = len(one.steps) - 1
    turns = [
        Turn(
            observation=step.observation,
            prompt=step.prompt,
            state_key=state_key(step.observation, {}),
            token=np.asarray(step.token, np.int32),
            log_prob=np.asarray(step.log_prob, np.float32),
            policy_version=np.asarray(step.version, np.int32),
            response=step.response,
            reward=step.reward or 0.0,
            terminated=t == last and one.status == "terminated",
            truncated=t == last and one.status == "truncated",
        )
        for t, step in enumerate(one.steps)
    ]
    job = Job(n, group, {"task": one.task})
    return Episode(job, turns, dict(one.outcome), one.next_prompt)


def _measured(taken: list[Trajectory], new: Any) -> dict[str, float]:
    """Metrics of how an iteration's rows came about."""
    steps = [step for one in taken for step in one.steps]
    kinds = [step.kind for step in steps]
    return {
        "gateway/appended": kinds.count("appended") / max(len(kinds), 1),
        "gateway/rebuilt": kinds.count("rebuilt") / max(len(kinds), 1),
        # Depend on the clock, so they stand with what a resumed run may change.
        "time/abandoned_trajectories": float(new["abandoned"]),
        "time/dropped_trajectories": float(new["dropped"]),
        "time/call_seconds": float(np.mean([step.seconds for step in steps])),
    }
