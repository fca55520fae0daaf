"""What a run folder says about itself, and who may write into it.

config.json holds the resolved configuration, the environment's version, package
versions, devices and the git commit. A run resumes only with the configuration
and environment version that started it, unless changes are accepted; `iterations` may
always be raised. One process at a time holds the folder.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import platform
from collections.abc import Callable
from typing import Any, TextIO

import ml_collections
from absl import logging

from steppo_jax import provenance, records, settings
from steppo_jax.errors import Refused

FILE, LOCK = "config.json", ".lock"
BEFORE = {"lanes": 1}  # of runs from before the field existed
LEAVES = ("checkpoints", "metrics.jsonl", "eval")  # what only a run makes


def _holds(path: pathlib.Path) -> bool:
    """Whether there is a file, or a folder that is not empty.

    A run that was refused before it began leaves the folder of its checkpoints, empty.
    """
    return any(path.iterdir()) if path.is_dir() else path.exists()


class WorkdirError(Refused):
    """A run folder that cannot be written, is in use, or belongs to another run."""


def load(workdir: pathlib.Path) -> tuple[ml_collections.ConfigDict, dict[str, Any]]:
    """(configuration, the whole record) of a run folder. Raises WorkdirError."""
    path = workdir / FILE
    try:
        record = records.loads(path.read_text(encoding="utf-8"))
        config = settings.from_dict(record["config"])
        _check_rest(record, config)
        return config, record
    except FileNotFoundError:
        raise WorkdirError(
            f"workdir {workdir} has no {FILE}: no run was started there; "
            "give the --workdir of a run"
        ) from None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        text = " ".join(str(error).split())
        raise WorkdirError(
            f"{path} cannot be read ({text}); restore it or use another workdir"
        ) from None


def _check_rest(record: dict[str, Any], config: ml_collections.ConfigDict) -> None:
    """Raises TypeError unless what is read before the configuration is checked, and
    what stands beside it, has its form.
    """
    if type(config.iterations) is not int:
        raise TypeError("config.iterations is no number")
    if not isinstance(record["commit"], str | None):
        raise TypeError("commit is no text")
    if not isinstance(record["environment"], dict):
        raise TypeError("environment is no object")
    changes = record.get("changes", [])
    if not isinstance(changes, list) or not all(isinstance(x, str) for x in changes):
        raise TypeError("changes are no list of texts")


def check_environment(record: dict[str, Any], env_version: str) -> None:
    """Raises WorkdirError unless the run has this version of its environment."""
    made_with = record.get("environment", {}).get("version")
    if made_with != env_version:
        raise WorkdirError(
            f"environment version: the run was made with {made_with!r}, this code has "
            f"{env_version!r}, which behaves differently; use the commit of the run"
        )


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = list(value) if isinstance(value, tuple) else value
    return out


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """ "name: the run has X, now Y" for every value that differs."""
    before, now = _flat(old), _flat(new)
    return [
        f"{name}: the run has {before.get(name)!r}, now {now.get(name)!r}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]


def _iterations(record: dict[str, Any]) -> int:
    return record["config"]["iterations"]


def lock(workdir: pathlib.Path) -> TextIO:
    """Holds the folder until the file is closed or the process ends in any way."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / LOCK).open("a+")
    except OSError as error:
        raise WorkdirError(
            f"workdir {workdir} cannot be written ({error.strerror}); "
            "give a folder that can be made and written"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise WorkdirError(
            f"workdir {workdir} is in use by {holder}; wait, or use another workdir"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}")
    file.flush()
    return file


class Run:
    """An opened run folder: locked, and known to be of this configuration."""

    def __init__(
        self,
        workdir: pathlib.Path,
        config: ml_collections.ConfigDict,
        env_version: str,
        *,
        lanes: int = 1,
        accept_changes: bool = False,
    ):
        """Starts a run in an empty folder or joins the one that is there.

        `lanes` is the number of runs in its program, itself included.
        `changes` says what differs from the run that is there; `accept` keeps it.

        Raises WorkdirError where the folder cannot be written, is in use, or holds a
        run of another configuration or environment version and `accept_changes` is
        False. More `iterations` are no such difference.
        """
        self.workdir = workdir
        self._file = lock(workdir)
        try:
            self.record = provenance.describe(config, env_version)
            self.record["lanes"] = lanes
            self.resumed = (workdir / FILE).exists()
            self.changes: list[str] = []
            if self.resumed:
                before, old = load(workdir)
                # An older record has the fields that came after it, too.
                self._join(old | {"config": before.to_dict()}, accept_changes)
            else:
                self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        left = [name for name in LEAVES if _holds(self.workdir / name)]
        if left:
            raise WorkdirError(
                f"workdir {self.workdir} has {', '.join(left)} of a run but no {FILE}; "
                "put it back, empty the folder, or use another workdir"
            )
        self._write()

    def _write(self) -> None:
        text = records.dumps(self.record, indent=2)
        records.write_atomically(self.workdir / FILE, text + "\n")

    def accept(self) -> None:
        """Writes the changed settings into config.json, and what they were before.

        To be called when the run's checkpoint is known to fit them.
        """
        if self.changes:
            self._write()

    def unless_refused(self, check: Callable[[], Any]) -> Any:
        """`check()`; where it refuses, a folder that was empty has no record.

        Else the run with settings that fit would meet the record of one that never
        began.
        """
        try:
            return check()
        except Refused:
            if not self.resumed:
                (self.workdir / FILE).unlink()
            raise

    def _join(self, old: dict[str, Any], accept_changes: bool) -> None:
        def differ(*names: str) -> list[str]:
            return differences(
                {name: old.get(name, BEFORE.get(name)) for name in names},
                {name: self.record[name] for name in names},
            )

        self.changes = differ("config", "environment")
        strict = [x for x in self.changes if not x.startswith("config.iterations: ")]
        if self.record["config"]["iterations"] < _iterations(old):
            strict = self.changes
        if strict and not accept_changes:
            raise WorkdirError(
                f"workdir {self.workdir} holds another run; {'; '.join(strict)}; "
                "use the same settings to resume, or another workdir, or give "
                "--accept_changes to go on with these"
            )
        earlier = old.get("changes", [])
        if self.changes or earlier:
            self.record["changes"] = [*earlier, *self.changes]
        for text in differ("packages", "python", "devices", "lanes", "commit"):
            logging.warning("resuming under other conditions: %s", text)

    def close(self) -> None:
        """Lets other processes in."""
        self._file.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
