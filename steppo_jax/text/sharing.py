"""Episodes of one run that several processes play, each its part of them.

Every process plays with environments and slots of its own and is told all episodes
afterwards, so all build the same tables. An episode depends on key, trajectory, step
and token only: the number of processes changes none.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np

from steppo_jax import processes
from steppo_jax.text.episodes import Episode, Job

Numbers = TypeVar("Numbers")


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
    told = [(e.turns, e.outcome, e.next_prompt) for e in own]
    found = [x for part in _from_all(told) for x in part]
    return [Episode(job, *x) for job, x in zip(jobs, found, strict=True)]


def summed(numbers: Numbers) -> Numbers:
    """A tuple of dataclasses with each field added up over the processes."""
    if jax.process_count() == 1:
        return numbers
    return tuple(map(_sum, zip(*_from_all(numbers), strict=True)))


def _sum(parts):
    names = [field.name for field in dataclasses.fields(parts[0])]
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    return type(parts[0])(**{n: sum(x[1:], start=x[0]) for n, x in columns.items()})


def _from_all(what):
    """What each process has, in the order of the processes."""
    # Pickled: it comes from this very program in another process of the run.
    return [pickle.loads(x) for x in processes.gathered(pickle.dumps(what))]
