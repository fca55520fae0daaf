"""Several processes of one run: how they find each other, agree, and share a folder.

The same command on every host. Who takes part is read from the environment, in this
order; without any of it a run is one process:

| who says it | what is read |
|---|---|
| plain addresses | `STEPPO_COORDINATOR` (host:port of process 0), `STEPPO_PROCESSES`, `STEPPO_PROCESS_ID` |
| Slurm, a step of several tasks | `SLURM_*`, as `srun` sets them |
| TPU VMs | `STEPPO_CLUSTER=tpu`: the machine's metadata; several `TPU_WORKER_HOSTNAMES` |

Every process executes the same programs in the same order. Only the writer, process 0,
has the run's folder; the others write into one of their own, which is thrown away.
"""  # noqa: E501  a table

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, TypeVar

import jax
import numpy as np
from jax._src import distributed
from jax.experimental import multihost_utils

from steppo_jax.errors import Refused

Result = TypeVar("Result")
ADDRESSES = ("STEPPO_COORDINATOR", "STEPPO_PROCESSES", "STEPPO_PROCESS_ID")
CLUSTER, TPU = "STEPPO_CLUSTER", "tpu"
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID")
SLURM_TASKS = "SLURM_STEP_NUM_TASKS"
PATIENCE = {  # seconds
    "initialization_timeout": 300,  # until all have come
    "heartbeat_timeout_seconds": 60,  # until a silent one counts as lost
    "shutdown_timeout_seconds": 20,  # until all have ended
}


# What jax says, in exceptions of several kinds, where a collective was left alone.
LOST = re.compile(
    r"gloo|nccl|coordination service|heartbeat|UNAVAILABLE|DEADLINE_EXCEEDED", re.I
)


class ProcessesError(Refused):
    """The environment names processes that cannot be."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Who takes part; None is what jax finds out by itself."""

    coordinator: str | None = None
    count: int | None = None
    index: int | None = None


def found(environ: Mapping[str, str]) -> Group | None:
    """The processes that the environment names; None for one alone.

    Raises ProcessesError for a set that is half given or contradicts itself.
    """
    given = [name for name in ADDRESSES if environ.get(name)]
    cluster = environ.get(CLUSTER)
    if cluster not in (None, "", TPU):
        raise ProcessesError(f"{CLUSTER}={cluster!r}: the only value is {TPU}")
    if given:
        return _addresses(environ, given)
    if int(environ.get(SLURM_TASKS) or 1) > 1:
        missing = [name for name in SLURM if name not in environ]
        if missing:
            raise ProcessesError(
                f"{SLURM_TASKS}={environ[SLURM_TASKS]} without {', '.join(missing)}: "
                "start with srun, which sets all of them"
            )
        return Group()
    if cluster or "," in environ.get("TPU_WORKER_HOSTNAMES", ""):
        return Group()
    return None


def _addresses(environ: Mapping[str, str], given: list[str]) -> Group:
    missing = [name for name in ADDRESSES if name not in given]
    if missing:
        raise ProcessesError(
            f"{', '.join(given)} without {', '.join(missing)}: set all three on every "
            "host, or none"
        )
    where, count, index = (environ[name] for name in ADDRESSES)
    if not where.rpartition(":")[0] or not where.rpartition(":")[2].isdecimal():
        raise ProcessesError(
            f"{ADDRESSES[0]}={where!r}: give host:port of process 0, such as "
            "10.0.0.1:8476"
        )
    if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
        raise ProcessesError(
            f"{ADDRESSES[1]}={count!r} and {ADDRESSES[2]}={index!r}: give the number "
            "of processes, and one of 0 … processes − 1 to each"
        )
    return Group(where, int(count), int(index))


def join(environ: Mapping[str, str]) -> int:
    """Meets the other processes, if there are any; how many there are in all.

    To be called before jax starts its backend. Raises ProcessesError where the
    environment is wrong or not all of them come.
    """
    group = found(environ)
    if group is None or group.count == 1:
        return 1
    try:
        jax.distributed.initialize(
            group.coordinator, group.count, group.index, **PATIENCE
        )
    except (RuntimeError, ValueError) as error:  # jax's for all that goes wrong here
        raise ProcessesError(
            f"the processes did not meet: {_line(error)}; start all of them with the "
            "same command and addresses that reach each other"
        ) from error
    # jax.process_count() would start the backend, whose devices are not settled yet.
    return distributed.global_state.num_processes


def is_writer() -> bool:
    """Whether this process has the run's folder."""
    return jax.process_index() == 0


@contextlib.contextmanager
def folder(workdir: pathlib.Path) -> Iterator[pathlib.Path]:
    """The run's folder for the writer, one to throw away for every other process."""
    if is_writer():
        yield workdir
        return
    with tempfile.TemporaryDirectory(prefix="steppo_") as own:
        yield pathlib.Path(own)


def any_of(flag: bool) -> bool:
    """Whether the flag is set on any process. All have to ask."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def gathered(data: bytes) -> list[bytes]:
    """The bytes of every process, in order. All have to ask."""
    if jax.process_count() == 1:
        return [data]
    sizes = multihost_utils.process_allgather(np.asarray(len(data), np.int32))
    # A power of two: one program for many lengths.
    padded = np.zeros(1 << int(sizes.max()).bit_length(), np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    found = multihost_utils.process_allgather(padded)
    return [row[:size].tobytes() for row, size in zip(found, sizes, strict=True)]


def together(job: Callable[[], Result]) -> Result:
    """`job()` on every process: where one of them is refused, all are."""
    try:
        result, refused = job(), None
    except Refused as error:
        result, refused = None, error
    if any_of(refused is not None):
        raise refused or ProcessesError("another process was refused; it says why")
    return result


@contextlib.contextmanager
def leaving_together() -> Iterator[None]:
    """Around the work of one process of several: none waits for one that has failed.

    Ends this process itself unless the work went well: exit code 1 with one line where
    another process is lost, else the code that one process alone would have.
    """
    if jax.process_count() == 1:
        yield
        return
    try:
        yield
    except Refused as error:
        _say(_line(error, most=2000))
        _leave(2)
    except SystemExit as error:
        _leave(error.code if isinstance(error.code, int) else 1)
    except BaseException as error:
        if LOST.search(str(error)):
            _say(
                f"process {jax.process_index()} of {jax.process_count()} ends: another "
                f"one is lost ({_line(error)}); start all of them again, the run goes "
                "on from its last complete checkpoint"
            )
        else:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _say(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)


def _line(error: Exception, most: int = 160) -> str:
    return " ".join(str(error).split())[:most]


def _leave(code: int) -> NoReturn:
    """Waits for the others as long as PATIENCE says, not longer."""
    sys.stdout.flush()
    with contextlib.suppress(Exception):
        jax.distributed.shutdown()
    os._exit(code)
