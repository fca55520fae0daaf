"""Playing panels of an on-device environment in text, task by task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from steppo_jax.actor.rollout import each, reset_keys
from steppo_jax.envs.base import Environment
from steppo_jax.evaluate import Frozen
from steppo_jax.text import tables
from steppo_jax.text.episodes import Episode, Job

# (parameters, jobs, key, temperature) → episodes in the order of the jobs.
Player = Callable[[Any, list[Job], jax.Array, float], list[Episode]]


def jobs_of(tasks: Any, traj_id_N, group_id_N, key: jax.Array, max_steps: int):
    """A job for each of the stacked tasks, reset with the keys of `actor.rollout`."""
    reset_N = reset_keys(each(key, np.asarray(traj_id_N)), max_steps)
    tasks = jax.tree.map(np.asarray, tasks)
    return [
        Job(
            int(traj),
            int(group),
            {"task": jax.tree.map(lambda x, i=i: x[i], tasks), "key": reset_N[i]},
        )
        for i, (traj, group) in enumerate(zip(traj_id_N, group_id_N, strict=True))
    ]


@dataclasses.dataclass(frozen=True)
class TextEvaluator(Frozen):
    """As `evaluate.Evaluator`: an episode depends on the key and its place only."""

    env: Environment
    player: Player
    max_steps: int
    temperature: float  # 0 = greedy

    def __call__(self, params, tasks: Any, key: jax.Array) -> dict[str, np.ndarray]:
        """Outcome of every task, in order: success, return, steps, tokens, …"""
        ids = range(jax.tree.leaves(tasks)[0].shape[0])
        jobs = jobs_of(tasks, ids, ids, key, self.max_steps)
        return tables.outcome(self.player(params, jobs, key, self.temperature))
