"""One process of a language model's run on a mesh of two devices.

    python -m tests.text.pair WORKDIR MODEL

Alone it has both devices, as one of two it has one.
"""

from __future__ import annotations

import os
import pathlib
import sys

import jax

from configs import household
from experiments import entry
from steppo_jax import assembly, processes, settings, train
from steppo_jax.errors import Refused

# Three tasks of a panel: one of two processes has more than the other.
SMALL = (
    "lm.max_prompt=600",
    "lm.max_new=6",
    "lm.slots=4",
    "env.max_steps=2",
    "rollout.groups=2",
    "rollout.group_size=2",
    "learner.microbatch=2",
    "learner.minibatches=1",
    "critic.warmup_iterations=0",
    "eval.episodes=3",
    "eval.panels=unseen",
    "iterations=4",
    "checkpoint.every=1",
)


def mesh(data: int, fsdp: int, tensor: int) -> tuple[str, ...]:
    """Words of a config that lay it out."""
    sizes = {"data": data, "fsdp": fsdp, "tensor": tensor}
    return ("parallel.kind=mesh", *(f"parallel.{k}={v}" for k, v in sizes.items()))


def config(folder, *words):
    """A run of seconds with the model in a folder."""
    said = ["steppo", "smoke", f"model={folder}", *SMALL, *words]
    return household.get_config(",".join(said))


def main(workdir: pathlib.Path, folder: pathlib.Path) -> None:
    count = processes.join(os.environ)
    jax.config.update("jax_num_cpu_devices", 2 // count)
    made = config(folder, *mesh(2, 1, 1), "iterations=2")
    settings.check(made)
    with processes.leaving_together():
        train.learn(assembly.build(made), workdir)


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    try:
        main(*map(pathlib.Path, sys.argv[1:]))
    except Refused as error:
        entry.stop(str(error))
