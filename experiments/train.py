"""Trains an agent; started again with the same command, it resumes.

    python -m experiments.train --config=configs/household.py:steppo --workdir=DIR
    python -m experiments.train --config=configs/household.py:ppo,smoke --workdir=DIR
    python -m experiments.train --config=configs/household.py:grpo --workdir=DIR \\
        --config.seed=1 --config.rollout.groups=16

More --config.iterations than before go on from where it ended.

What a run leaves behind stands at its end and in DIR.
"""

from __future__ import annotations

import os
import pathlib

from absl import flags, logging

from experiments import devices, entry
from steppo_jax import processes, settings, train

CONFIG = entry.define_config()
WORKDIR = entry.define_workdir()
PROFILE = flags.DEFINE_integer(
    "profile", 0, "Trace this many iterations into WORKDIR/profile.", lower_bound=0
)
ACCEPT_CHANGES = flags.DEFINE_bool(
    "accept_changes",
    False,
    "Go on although settings or environment version differ from the run's.",
)


def main() -> None:
    config = CONFIG.value
    settings.check(config)
    count = processes.join(os.environ)
    devices.settle(config, count)
    settings.check(config)  # now that the number of devices is known
    if not processes.is_writer():
        logging.set_verbosity(logging.ERROR)  # process 0 speaks for all
    with processes.leaving_together():
        train.run(
            config,
            pathlib.Path(WORKDIR.value),
            profile=PROFILE.value,
            accept_changes=ACCEPT_CHANGES.value,
        )


if __name__ == "__main__":
    entry.launch(main, "config", "workdir")
