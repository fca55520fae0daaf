"""Whether a run fits into memory, known before anything of size is made.

The compiler says how much each of the two programs needs: arguments, results and what
is held in between. Nothing is compiled twice for it: the run finds both programs in
jax's cache.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import jax
import psutil

from steppo_jax.errors import Refused
from steppo_jax.programs import Programs

CGROUP = pathlib.Path("/sys/fs/cgroup")  # limit and use of a container
GIB = 2**30


class TooLarge(Refused):
    """The run cannot fit into the memory that is free."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Bytes on the devices that share one memory."""

    state: int  # parameters, optimizer states, counters
    rollout: int  # played on the host: the state and what the engine holds
    update: int

    @property
    def most(self) -> int:
        return max(self.rollout, self.update)

    def __str__(self) -> str:
        def said(n: int) -> str:
            return f"{n / GIB:.2f} GiB" if n >= GIB else f"{n / 2**20:.2f} MiB"

        parts = ("state", "rollout", "update")
        return ", ".join(f"{k} {said(getattr(self, k))}" for k in parts)


def free(device: Any) -> int | None:
    """Bytes that a device can still give; None where nobody knows.

    CPU devices share the host's memory, cut by a container's limit.
    """
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" not in stats:
            return None
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    available = psutil.virtual_memory().available
    try:
        limit, used = (
            int((CGROUP / name).read_text())
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # no container, or "max": no limit
        return available
    return min(available, limit - used)


def state_bytes(p: Programs) -> int:
    """Bytes of the learner's state on the devices that share one memory."""
    fresh = jax.eval_shape(p.learner.init, jax.random.key(0))
    return p.devices.bytes_on_one(fresh) * _sharing(p)


def _sharing(p: Programs) -> int:
    """Devices in one memory: all CPU devices, one of any other kind."""
    return len(p.devices.here) if p.devices.here[0].platform == "cpu" else 1


def estimate(p: Programs) -> Estimate:
    """What the compiled programs of a run need; compiles them."""
    fresh = jax.eval_shape(p.learner.init, jax.random.key(0))
    state = p.devices.laid_out(fresh, copies=True)
    played, sharing = p.played(state), _sharing(p)
    if p.on_host:
        rollout = state_bytes(p) + p.engine_bytes() * sharing
    else:
        played = p.devices.laid_out(played)
        rollout = _needs(p.collect.lower(state).compile()) * sharing
    given = p.devices.replicate(p.numbers)
    update = p.update_of_numbers.lower(given, state, played.steps, played.tokens)
    return Estimate(state_bytes(p), rollout, _needs(update.compile()) * sharing)


def _needs(compiled: Any) -> int:
    """Bytes per device: arguments, results that are not written over them, between."""
    found = compiled.memory_analysis()
    return (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.temp_size_in_bytes
    )


def check(p: Programs) -> Estimate | None:
    """Raises TooLarge where rollout or update need more than is free.

    None where the device does not say what it has.
    """
    available = free(p.devices.here[0])
    if available is None:
        return None
    # Twice: the run copies the state it has made, and the state it has read.
    state = 2 * state_bytes(p)
    if state > available:
        raise TooLarge(
            f"two copies of parameters and optimizer states need {state / GIB:.2f} "
            f"GiB, {available / GIB:.2f} GiB are free; lower model.* or devices"
        )
    found = estimate(p)
    if found.most > available:
        raise TooLarge(
            f"the rollout needs {found.rollout / GIB:.2f} GiB and the update "
            f"{found.update / GIB:.2f} GiB, {available / GIB:.2f} GiB are free; lower "
            f"{'lm.slots, lm.max_prompt' if p.on_host else 'rollout.groups'}, "
            "env.max_steps, learner.microbatch or model.*"
        )
    return found
