"""Runs in forked processes: quick to begin, free to be killed, measured from outside.

The parent imports everything and starts no device; a child does.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import NoReturn

import jax

from steppo_jax import train
from steppo_jax.errors import Refused
from tests.faults.phases import Board, told

REFUSED, DEFECT = 2, 70
TEMPORARY = "tmp"  # beside the log: what a run puts where temporary files go


def start(what, workdir: pathlib.Path, log: pathlib.Path, board: Board, cache) -> int:
    """Forks a process that trains in `workdir`; returns its id."""
    board.clear()
    beside = log.parent / TEMPORARY
    beside.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child:
        return child

    def work() -> None:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout.reconfigure(line_buffering=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(beside)
        # The platform by name: with a missing GPU jax would look for one first.
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", 1)
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        with told(board):
            train.run(what, workdir)

    exit_after(work)


def exit_after(work: Callable[[], None]) -> NoReturn:
    """Ends this process: 0, its exit code, REFUSED with the line, or DEFECT."""
    code = DEFECT
    try:
        work()
        code = 0
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        code = REFUSED
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end_of(child: int) -> int:
    """Waits; the exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_over(child: int) -> int | None:
    """The same without waiting; None while it lives."""
    found, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None
