"""The runs that the long tier kills and watches, both at smoke size.

`device`: household, everything compiled. `host`: HotpotQA on its generated corpus,
played in worker processes by a random two-layer llama.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys

from configs import hotpotqa, household
from steppo_jax import settings

ROOT = pathlib.Path(__file__).parents[2]
DEVICE = ("eval.episodes=8", "trajectories=2")
HOST = (
    *("lm.max_prompt=640", "lm.max_new=12", "lm.slots=4", "host.workers=2"),
    *("env.max_steps=2", "rollout.groups=2", "rollout.group_size=2"),
    *("learner.microbatch=2", "learner.minibatches=2", "trajectories=2"),
    *("eval.episodes=2", "host.tries=9"),
)
# What a killed or a finished run must not leave in its folder or beside it.
HALF = ("*.part", "*.unfinished", "*.orbax-checkpoint-tmp*", "steppo_jax_workers_*")


def device(iterations: int, out: pathlib.Path, *changes: str):
    """A checked configuration on one device."""
    words = ("steppo", "smoke", f"iterations={iterations}", "devices=1", *DEVICE)
    return _checked(household.get_config(",".join((*words, *changes))))


def host(iterations: int, out: pathlib.Path, *changes: str):
    """The same with worker processes and no critic; its model is written into `out`."""
    model = out / "model"
    if not model.exists():  # in another process: this one must start no device
        program = "import pathlib, sys; from tests.text import tiny; "
        program += "tiny.write(pathlib.Path(sys.argv[1]))"
        command = [sys.executable, "-c", program, str(model)]
        subprocess.run(command, cwd=ROOT, check=True)
    words = ("grpo", "smoke", f"iterations={iterations}", "devices=1", *HOST)
    words += (f"model={model}", *changes)
    return _checked(hotpotqa.get_config(",".join(words)))


KINDS = {"device": device, "host": host}


def _checked(config):
    settings.check(config)
    return config


def left_behind(*folders: pathlib.Path) -> list[str]:
    """Half-written files and folders of workers that are still there."""
    return sorted(str(p) for f in folders for name in HALF for p in f.rglob(name))
