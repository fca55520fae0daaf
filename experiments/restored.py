"""The learner state of a run's checkpoint, for jobs that look at what was trained."""

from __future__ import annotations

import contextlib
import pathlib

from experiments import entry
from steppo_jax import programs
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.learner.state import LearnerState


def restore(
    p: programs.Programs, workdir: pathlib.Path, which: str
) -> tuple[int, LearnerState]:
    """(iteration, state) of checkpoint `which`: "latest" or a number, as flags give it.

    Changes nothing on disk.
    """
    wanted = p.abstract()
    folder = Checkpoints(workdir / "checkpoints", read_only=True)
    with contextlib.closing(folder) as checkpoints:
        if which.isdigit():
            return int(which), checkpoints.restore(int(which), wanted)
        if which != "latest":
            entry.stop(f"--checkpoint={which}: give latest or an iteration")
        found = checkpoints.restore_latest(wanted)
    return found or entry.stop(f"workdir {workdir} has no checkpoint yet; train first")
