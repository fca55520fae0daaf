"""One environment in a process of its own; started by `pool`, never by people.

It reads requests from its standard input and answers on what was its standard output
(`frames`). What an environment prints goes to standard error, never into an answer.
When the run is gone, the worker ends itself and everything that it started, and removes
the folder that it was given to live in: a run that was killed cannot.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

from steppo_jax import hosts
from steppo_jax.hosts import frames

LOOK = 0.25  # seconds between two looks at whether the run still lives
FOLDER = "steppo_jax_workers_"  # how the name of a pool's folder begins


def die_with(parent: int, home: pathlib.Path) -> None:
    """Ends everything as soon as this is no longer `parent`'s child."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        end(home)

    threading.Thread(target=watch, daemon=True).start()


def end(home: pathlib.Path) -> None:
    """Removes the pool's folder, then kills this process group."""
    if home.name.startswith(FOLDER):  # never a folder that is somebody's
        shutil.rmtree(home, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """(requests, answers), which neither the environment nor its children can see."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, answers


def answer(env: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What the environment says to a request."""
    if request["do"] == "reset":
        seen, info = env.reset(seed=request["seed"], options=request["options"])
        return {"observation": seen, "info": info}
    seen, reward, terminated, truncated, info = env.step(request["action"])
    return {
        "observation": seen,
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        "info": info,
    }


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers until the requests end; an error is an answer too, in one line."""
    env = None
    while (request := frames.read(requests)) is not None:
        try:
            if request["do"] == "make":
                env = hosts.load(request["family"])(**request["fields"]).make()
                said: dict[str, Any] = {}
            else:
                said = answer(env, request)
            packed = frames.pack(said | {"id": request["id"]})
        except Exception as error:  # the run decides what becomes of it
            text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            packed = frames.pack({"id": request["id"], "error": text})
        answers.write(packed)
        answers.flush()


def main() -> None:
    home = pathlib.Path.cwd()  # now: an environment may go elsewhere
    die_with(int(sys.argv[1]), home)
    serve(*private_pipes())
    end(home)  # the run closed its end of the pipe, or died


if __name__ == "__main__":
    main()
