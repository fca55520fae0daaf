"""How much a run compiles, told apart by the lines of its metrics."""

import pathlib

import jax
import pytest

from steppo_jax import metrics, train

_COMPILED = "/jax/core/compile/backend_compile_duration"


def run(config, workdir: pathlib.Path) -> list[int]:
    """Trains; programs compiled until each line of metrics was written."""
    compiled, counts = [], []
    write = metrics.Metrics.write

    def counting(self, iteration, values):
        counts.append(len(compiled))
        write(self, iteration, values)

    def heard(event, duration, **_):
        if event == _COMPILED:
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(heard)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics.Metrics, "write", counting)
        train.run(config, workdir)
    jax.monitoring.unregister_event_duration_listener(heard)
    return counts
