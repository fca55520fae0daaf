"""How many devices a run uses, settled before jax starts its backend."""

from __future__ import annotations

import math
import os
import pathlib
from typing import Any

import jax
import ml_collections

from steppo_jax import ahead
from steppo_jax.models.kernels import MULTIPLES, NAMES
from steppo_jax.settings import ConfigError

QUOTA = pathlib.Path("/sys/fs/cgroup/cpu.max")  # "max 100000" or "200000 100000"
# Keeps libtpu from looking for the machine it is on, and from complaining at length.
NO_TPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
}
FORCED = "xla_force_host_platform_device_count"


def cores(quota: pathlib.Path = QUOTA) -> int:
    """CPU cores this process may use: its affinity, cut by a container's quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        count = min(count, math.ceil(int(allowed) / int(period)))
    except (OSError, ValueError):  # no such file, or "max": no quota
        pass
    return max(count, 1)


def that_divide(config: ml_collections.ConfigDict, most: int) -> int:
    """The largest number of devices up to `most` that the batch divides over."""
    trajectories = config.rollout.groups * config.rollout.group_size
    episodes = config.warm_start.episodes if config.warm_start.success else 0

    def fits(count: int) -> bool:
        whole = trajectories % (count * config.learner.minibatches) == 0
        return whole and episodes % count == 0

    return max((n for n in range(1, most + 1) if fits(n)), default=1)


def meshed(config: ml_collections.ConfigDict) -> int | None:
    """Devices that the mesh of a config needs; None without one."""
    p = config.parallel
    return p.data * p.fsdp * p.tensor if p.kind == "mesh" else None


def of_topology(name: str, config: ml_collections.ConfigDict) -> tuple[Any, ...]:
    """Devices of a TPU topology to compile `config` for. Raises Refused.

    No TPU is looked for: what runs here runs on the CPU.
    """
    _check_kernel(config, "tpu")
    for variable, value in NO_TPU.items():
        os.environ.setdefault(variable, value)
    jax.config.update("jax_platforms", "cpu")
    return ahead.tpu(name)


def settle(config: ml_collections.ConfigDict, processes: int = 1) -> None:
    """Starts jax with the devices of `config` and writes their number into it.

    On CPU, `devices=0` becomes one per core as far as the batch divides; on other
    platforms all local devices. Of several `processes` each has an equal part of a
    mesh. Raises ConfigError where there are too few.
    """
    if processes > 1:
        _check_shared(config, processes)
    platforms = jax.config.jax_platforms
    if not platforms or platforms.split(",")[0] == "cpu":
        most = cores() if config.lm.weights is None else 1
        count = meshed(config) or config.devices or that_divide(config, most)
        if FORCED not in os.environ.get("XLA_FLAGS", ""):
            jax.config.update("jax_num_cpu_devices", count // processes)
        if jax.default_backend() == "cpu":
            config.devices = count
    if meshed(config):
        config.devices = meshed(config)
    elif config.lm.weights is not None:  # without a mesh they learn on one device
        config.devices = config.devices or 1
    _check_kernel(config, jax.default_backend())
    if processes > 1:
        return  # Mesh.local compares all of them
    here = jax.local_device_count()
    if config.devices > here:
        raise ConfigError(
            f"config.devices={config.devices}: only {here} local "
            f"{jax.default_backend()} devices; lower it, or set 0 for all"
        )
    config.devices = config.devices or here


def _check_kernel(config: ml_collections.ConfigDict, platform: str) -> None:
    """Raises ConfigError where the attention's kernel is another platform's."""
    kind = config.model.attention
    meant = MULTIPLES[kind][0] if kind in MULTIPLES else platform
    if meant != platform:
        raise ConfigError(
            f"config.model.attention={kind!r}: it is the {NAMES[meant]}'s kernel, and "
            f"the devices here are {platform}; set --config.model.attention=blocks"
        )


def _check_shared(config: ml_collections.ConfigDict, processes: int) -> None:
    """Raises ConfigError for what several processes cannot run."""
    if not meshed(config):
        raise ConfigError(
            f"config.parallel.kind={config.parallel.kind!r}: {processes} processes "
            "share a mesh; set --config.parallel.kind=mesh and parallel.data * fsdp * "
            "tensor to the number of all their devices"
        )
    tensor, each = config.parallel.tensor, meshed(config) // processes
    if config.lm.weights is not None and each % tensor:
        raise ConfigError(
            f"config.parallel.tensor={tensor}: a language model's slots are cut inside "
            f"a process, which has {each} devices; use a divisor"
        )
    if meshed(config) % processes:
        raise ConfigError(
            f"config.parallel.*: {meshed(config)} devices do not divide over "
            f"{processes} processes; change one of the two"
        )
