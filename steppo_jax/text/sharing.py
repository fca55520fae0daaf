"""Episodes of one run that several processes play, each its part of them.

Every process plays with environments and slots of its own and is told all episodes
afterwards, so all build the same tables. An episode depends on key, trajectory, step
and token only: the number of processes changes none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from steppo_jax import processes
from steppo_jax.text.episodes import Episode, Job, Turn

Numbers = TypeVar("Numbers")
ARRAYS = {"token": np.int32, "log_prob": np.float32, "policy_version": np.int32}


def played(
    jobs: list[Job], play: Callable[[list[Job]], list[Episode]]
) -> list[Episode]:
    """The episodes of all jobs, in their order; `play` is given those of this process.

    All processes have to call it with the same jobs.
    """
    if jax.process_count() == 1:
        return play(jobs)
    parts = np.array_split(np.arange(len(jobs)), jax.process_count())
    own = play([jobs[i] for i in parts[jax.process_index()]])
    # The job stays here: it may hold keys, which are arrays of a device.
    told = [
        {
            "turns": [vars(turn) for turn in episode.turns],
            "outcome": episode.outcome,
            "next_prompt": episode.next_prompt,
        }
        for episode in own
    ]
    found = [x for part in _from_all(told) for x in part]
    return [_episode(job, x) for job, x in zip(jobs, found, strict=True)]


def _episode(job: Job, told: dict[str, Any]) -> Episode:
    turns = [
        Turn(**turn | {name: np.asarray(turn[name], t) for name, t in ARRAYS.items()})
        for turn in told["turns"]
    ]
    return Episode(job, turns, told["outcome"], told["next_prompt"])


def summed(numbers: Numbers) -> Numbers:
    """A tuple of dataclasses with each field added up over the processes."""
    if jax.process_count() == 1:
        return numbers
    parts = _from_all([vars(x) for x in numbers])
    return tuple(_sum(x, [part[i] for part in parts]) for i, x in enumerate(numbers))


def _sum(own, parts: list[dict[str, Any]]):
    """A dataclass like `own`; JSON knows a Counter as a dict."""
    fields = {}
    for name, value in vars(own).items():
        each = [type(value)(part[name]) for part in parts]
        fields[name] = sum(each[1:], start=each[0])
    return type(own)(**fields)


def _from_all(what: Any) -> list[Any]:
    """What each process has, through JSON, in the order of the processes."""
    told = processes.gathered(json.dumps(what, default=_plain).encode())
    return [json.loads(x) for x in told]


def _plain(x: Any) -> Any:
    """Arrays and numbers of NumPy as JSON has them; float32 comes back exactly."""
    if isinstance(x, np.ndarray | np.generic):
        return x.tolist()
    raise TypeError(f"{type(x).__name__} in an episode: only numbers and text are told")
