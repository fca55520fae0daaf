"""One process of a run of the toy environment on a mesh of two devices.

    python -m tests.processes.child WORKDIR ITERATIONS [SECONDS]

Alone it has both devices, as one of two it has one. With STEPPO_POD=full it writes the
step of one update of plain SGD to WORKDIR/step.npy first. SECONDS are slept before each
iteration, so that there is time to be killed in.
"""

from __future__ import annotations

import os
import pathlib
import sys
import time

import jax
import numpy as np

from experiments import entry
from steppo_jax import processes, train
from steppo_jax.errors import Refused
from steppo_jax.mesh import Mesh
from tests.learner import layouts

MESH = "parallel.kind=mesh,parallel.data=2,parallel.fsdp=1,parallel.tensor=1"


def step_of_one_update(mesh: Mesh) -> np.ndarray:
    """All that policy and critic move by in float64, as one vector."""
    env = layouts.environment(on_time_limit="bootstrap")
    rolled = layouts.played(env)
    with jax.enable_x64(True):
        rolled = layouts.doubled(rolled)
        changes = {"minibatches": 1, "microbatch": 8}
        the = layouts.learner("steppo", env, "float64", **changes)
        state = layouts.doubled(the.init(jax.random.key(3)))
        program = mesh.compile(the.update, donate=(0,))
        tables = mesh.split((rolled.steps, rolled.tokens))
        after, *_ = program(mesh.replicate(state), *tables)
        return layouts.step_of(mesh.to_host(state), mesh.to_host(after))


def _after(seconds: float, call):
    def later(*args):
        time.sleep(seconds)
        return call(*args)

    return later


def programs(mesh: Mesh, iterations: int):
    from tests import test_mesh_run

    words = f"{MESH},iterations={iterations},checkpoint.every=2"
    return test_mesh_run.made(mesh, words)


def full() -> bool:
    """Whether the long form of the tests is wanted."""
    return os.environ.get("STEPPO_POD") == "full"


def main(workdir: pathlib.Path, iterations: int, seconds: float = 0) -> None:
    count = processes.join(os.environ)
    jax.config.update("jax_num_cpu_devices", 2 // count)
    mesh = Mesh.local(2, 1, 1)
    if full():
        found = step_of_one_update(mesh)
        if processes.is_writer():
            workdir.mkdir(parents=True, exist_ok=True)
            np.save(workdir / "step.npy", found)
    p = programs(mesh, iterations)
    if seconds:
        train.Loop._iterate = _after(seconds, train.Loop._iterate)
    with processes.leaving_together():
        train.learn(p, workdir / "run", accept_changes=True)


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    try:
        main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
    except Refused as error:
        entry.stop(str(error))
