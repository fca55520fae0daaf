"""Checkpoints of a whole run: asynchronous, atomic, newest complete one restored.

Orbax does the writing. What it leaves open is closed here: it casts another dtype
silently, drops the type of PRNG keys and does not notice a flipped byte in an array.
So every checkpoint carries the list of its leaves (path, dtype, shape), compared
before restoring, and their CRC-32, compared after (about 1 s per 2 GB saved).
"""

from __future__ import annotations

import contextlib
import gc
import pathlib
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp
from absl import logging

from steppo_jax import errors, processes, stored_tree
from steppo_jax.errors import Refused
from steppo_jax.stored_tree import CheckpointMismatch

Tree = TypeVar("Tree")


class CheckpointsBroken(Refused):
    """There are checkpoints, and none of them can be read."""


class NotSaved(Refused):
    """A checkpoint could not be written; the ones before are as they were."""


class Checkpoints:
    """The checkpoints of one run, in one folder, one numbered subfolder each."""

    def __init__(
        self,
        directory: pathlib.Path,
        keep: int = 2,
        say: Callable[[str], None] = logging.warning,
        read_only: bool = False,
    ):
        """Opens or makes `directory`; keeps the newest `keep`. `say` gets warnings.

        `read_only` changes nothing on disk, for looking into a run that goes on.
        """
        self._directory = directory.absolute()
        self._say, self._read_only = say, read_only
        self._failed = False
        if read_only and not directory.is_dir():
            raise CheckpointMismatch(
                f"{directory}: there are no checkpoints; train first"
            )
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=not read_only,
            create=not read_only,
        )
        self._manager = ocp.CheckpointManager(self._directory, options=options)

    def save(self, iteration: int, tree: Any) -> None:
        """Starts to write; `tree` may be donated as soon as this returns.

        Raises RuntimeError where a checkpoint of this or a later iteration exists,
        and NotSaved where the disk refused this one or, in the background, the last.
        """
        raw = jax.tree.map(stored_tree.unwrap, tree)
        listed: dict[str, Any] = {
            "leaves": stored_tree.contents(tree),
            "crc32": stored_tree.checksums(raw),
        }
        listed["self"] = stored_tree.checksum(listed)
        args = ocp.args.Composite(
            tree=ocp.args.StandardSave(raw), contents=ocp.args.JsonSave(listed)
        )
        with self._disk():
            saving = self._manager.save(iteration, args=args)
        if not saving:
            raise RuntimeError(
                f"checkpoint {iteration} not written: {self._directory} already has "
                f"{list(self._manager.all_steps())}"
            )

    def restore_latest(self, abstract: Tree) -> tuple[int, Tree] | None:
        """(iteration, tree) of the newest readable checkpoint; None if there is none.

        `abstract` has the tree, shapes, dtypes and shardings that are wanted (arrays
        or ShapeDtypeStructs). A broken checkpoint is moved aside to `NAME.broken`
        and reported. Raises CheckpointMismatch where a whole checkpoint holds
        something else, CheckpointsBroken where none can be read.
        """
        broken: list[tuple[int, str]] = []
        for iteration in reversed(self.iterations()):
            tree, why = None, ""
            with _one_error():
                try:
                    tree = self._restore(iteration, abstract)
                except CheckpointMismatch:
                    raise
                except Exception as error:  # whatever orbax raises on damaged files
                    why = _line(error)
            if processes.any_of(bool(why)):
                broken.append((iteration, why or "not by another process"))
                continue
            self._set_aside(broken, iteration)
            return iteration, tree
        if broken:
            raise CheckpointsBroken(
                f"{self._directory}: none of the checkpoints {[i for i, _ in broken]} "
                f"can be read ({broken[0][1]}); restore one from a backup, or "
                "delete the folder to start over"
            )
        return None

    def iterations(self) -> list[int]:
        """Iterations with a checkpoint, oldest first."""
        return sorted(self._manager.all_steps())

    def restore(self, iteration: int, abstract: Tree) -> Tree:
        """The tree of one iteration.

        Raises CheckpointMismatch where there is none or it holds another tree,
        CheckpointsBroken where it cannot be read.
        """
        if iteration not in self.iterations():
            raise CheckpointMismatch(
                f"{self._directory} has no checkpoint {iteration}; there are "
                f"{self.iterations()}"
            )
        with _one_error():
            try:
                return self._restore(iteration, abstract)
            except CheckpointMismatch:
                raise
            except Exception as error:  # whatever orbax raises on damaged files
                raise CheckpointsBroken(
                    f"{self._directory}: checkpoint {iteration} cannot be read "
                    f"({_line(error)}); take another of {self.iterations()}"
                ) from error

    def forget_after(self, iteration: int) -> None:
        """Deletes the checkpoints of later iterations: a run goes on from this one."""
        for later in [i for i in self.iterations() if i > iteration]:
            self._manager.delete(later)

    def _restore(self, iteration: int, abstract: Tree) -> Tree:
        listed = self._manager.restore(
            iteration, args=ocp.args.Composite(contents=ocp.args.JsonRestore())
        )
        stored = dict(listed.contents)
        if stored.pop("self", None) != stored_tree.checksum(stored):
            raise OSError("the list of contents does not match its checksum")
        where = self._directory / str(iteration)
        stored_tree.compare(stored["leaves"], stored_tree.contents(abstract), where)
        target = jax.tree.map(stored_tree.raw, abstract)
        restored = self._manager.restore(
            iteration, args=ocp.args.Composite(tree=ocp.args.StandardRestore(target))
        )
        for path, crc in stored_tree.checksums(restored.tree).items():
            if stored["crc32"].get(path, crc) != crc:
                raise OSError(f"the bytes of {path} do not match their checksum")
        return jax.tree.map(stored_tree.wrap, abstract, restored.tree)

    def _set_aside(self, broken: list[tuple[int, str]], used: int) -> None:
        for iteration, why in broken:
            what = "left alone"
            if not self._read_only:
                place = self._directory / str(iteration)
                aside = place.with_name(f"{iteration}.broken")
                if processes.is_writer():
                    shutil.rmtree(aside, ignore_errors=True)
                    place.rename(aside)
                processes.any_of(False)  # it is done when all are here
                self._manager.reload()
                what = f"moved to {aside.name}"
            self._say(
                f"checkpoint {iteration} cannot be read ({why}); {what}, "
                f"going on from checkpoint {used}"
            )

    def wait(self) -> None:
        """Returns when everything saved is on disk; raises if a save failed."""
        with self._disk():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, then stops the writer's threads."""
        if self._failed:  # said already
            with contextlib.suppress(Exception):
                self._manager.close()
            return
        self.wait()
        self._manager.close()

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Turns what a disk says into NotSaved; other errors are defects."""
        try:
            yield
        except Exception as error:  # orbax wraps it in several kinds
            self._failed = True
            said = errors.of_disk(error)
            if said is None:
                raise
            raise NotSaved(
                f"{self._directory}: a checkpoint could not be written ({said}); mend "
                "that and start again: the run goes on from the newest of "
                f"{self.iterations()}"
            ) from error


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    """Keeps the reads that orbax drops when another one fails from printing too."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # "never awaited"
            gc.collect()
        sys.unraisablehook = before


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}"
