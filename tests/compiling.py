"""How much is compiled."""

import contextlib
import pathlib
from collections.abc import Iterator

import jax
import pytest

from steppo_jax import metrics, train

_COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def heard() -> Iterator[list[float]]:
    """A list with one entry for every program compiled in the meantime."""
    compiled: list[float] = []

    def listen(event, duration, **_):
        if event == _COMPILED:
            compiled.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def run(config, workdir: pathlib.Path) -> list[int]:
    """Trains; programs compiled until each line of metrics was written."""
    counts = []
    write = metrics.Metrics.write
    with heard() as compiled, pytest.MonkeyPatch.context() as patch:

        def counting(self, iteration, values):
            counts.append(len(compiled))
            write(self, iteration, values)

        patch.setattr(metrics.Metrics, "write", counting)
        train.run(config, workdir)
    return counts
