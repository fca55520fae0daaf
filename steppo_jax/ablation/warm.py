"""One warm start for all runs that begin from the same one.

Cloning depends on the seed and on few settings, so cells that differ in the others
start from the same policy. It is made by whoever needs it first, and kept on disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import pathlib
from collections.abc import Iterator

from ml_collections import ConfigDict

from steppo_jax import settings
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.train import Warm

FOLDER = "warm_starts"
# What of the settings cloning reads; and the batch in which success is measured.
READS = ("seed", "devices", "env", "context", "model", "warm_start")
READS_TOO = ("rollout.temperature", "learner.microbatch")


def key(config: ConfigDict, env_version: str = "") -> str:
    """The same text for runs whose warm starts are the same."""
    values = {
        name: value
        for name, value in settings.flat(config).items()
        if name.partition(".")[0] in READS or name in READS_TOO
    }
    batch = config.rollout.groups * config.rollout.group_size
    return repr((sorted(values.items()), batch, env_version))


def shared(workdir: pathlib.Path, config: ConfigDict, env_version: str) -> Warm:
    """Reads the warm start of a run from `workdir`, or makes it and leaves it there."""
    digest = hashlib.sha256(key(config, env_version).encode()).hexdigest()[:16]
    place = workdir / FOLDER / f"{config.env.name}-seed-{config.seed}-{digest}"

    def warm(state, clone):
        with _alone(place), contextlib.closing(Checkpoints(place, keep=1)) as kept:
            found = kept.restore_latest(state.policy)
            if found is not None:
                return found[1]
            policy = clone()
            kept.save(0, policy)
            kept.wait()
            return policy

    return warm


@contextlib.contextmanager
def _alone(place: pathlib.Path) -> Iterator[None]:
    """Waits for another process that makes the same."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
