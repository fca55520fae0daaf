"""How much is compiled."""

import pathlib

import pytest

from steppo_jax import metrics, train
from steppo_jax.benchmarks.compiled import watched


def run(config, workdir: pathlib.Path) -> list[int]:
    """Trains; programs compiled until each line of metrics was written."""
    return _counted(lambda: train.run(config, workdir))


def learn(p, workdir: pathlib.Path, **options) -> list[int]:
    """The same with given programs."""
    return _counted(lambda: train.learn(p, workdir, **options))


def _counted(job) -> list[int]:
    counts = []
    write = metrics.Metrics.write
    with watched() as compiled, pytest.MonkeyPatch.context() as patch:

        def counting(self, iteration, values):
            counts.append(len(compiled))
            write(self, iteration, values)

        patch.setattr(metrics.Metrics, "write", counting)
        job()
    return counts
