"""Checkpoints of a whole run: asynchronous, atomic, newest complete one restored.

Orbax does the writing. What it leaves open is closed here: it casts another dtype
silently, drops the type of PRNG keys and does not notice a flipped byte in an array.
So every checkpoint carries the list of its leaves (path, dtype, shape), compared
before restoring, and their CRC-32, compared after (about 1 s per 2 GB saved).
"""

from __future__ import annotations

import json
import pathlib
import shutil
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from steppo_jax.errors import Refused

Tree = TypeVar("Tree")
Contents = dict[str, str]  # path of a leaf → "dtype[shape]"


class CheckpointMismatch(Refused):
    """The checkpoint holds another tree than the program asks for."""


class CheckpointsBroken(Refused):
    """There are checkpoints, and none of them can be read."""


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _unwrap(leaf: Any) -> Any:
    """A leaf as orbax can store it: keys as their raw data, scalars as arrays."""
    if not isinstance(leaf, jax.Array):
        return np.asarray(leaf)
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _raw(leaf: Any) -> Any:
    """What to restore for an abstract leaf: raw key data, or the leaf itself."""
    if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct):
        return np.asarray(leaf)
    shape, dtype = leaf.shape, leaf.dtype
    if _is_key(leaf):
        data = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(shape, dtype))
        shape, dtype = data.shape, data.dtype
    return jax.ShapeDtypeStruct(shape, dtype, sharding=leaf.sharding)


def _wrap(leaf: Any, value: Any) -> Any:
    """Undoes `_unwrap` for the leaf that was asked for."""
    if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) and _is_key(leaf):
        return jax.random.wrap_key_data(value, impl=jax.random.key_impl(leaf))
    return value


def contents(tree: Any) -> Contents:
    """Path → dtype and shape of every leaf, for arrays and abstract trees alike."""

    def says(leaf: Any) -> str:
        array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        return f"{array.dtype}{list(array.shape)}"

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): says(leaf) for path, leaf in leaves}


def _checksums(raw: Any) -> dict[str, int]:
    """Path → CRC-32 of every leaf that lies wholly on this host."""
    leaves = jax.tree_util.tree_leaves_with_path(raw)
    return {
        jax.tree_util.keystr(path): zlib.crc32(
            np.ascontiguousarray(leaf).view(np.uint8)
        )
        for path, leaf in leaves
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable
    }


def _checksum(listed: Any) -> int:
    return zlib.crc32(json.dumps(listed, sort_keys=True).encode())


def _compare(stored: Contents, wanted: Contents, where: pathlib.Path) -> None:
    differ = [
        f"{path}: stored {stored.get(path, 'nothing')}, "
        f"wanted {wanted.get(path, 'nothing')}"
        for path in {**wanted, **stored}
        if stored.get(path) != wanted.get(path)
    ]
    if differ:
        more = f" (and {len(differ) - 3} more leaves)" if len(differ) > 3 else ""
        raise CheckpointMismatch(
            f"{where}: the checkpoint holds another tree; "
            f"{'; '.join(differ[:3])}{more}; "
            "resume with the configuration that wrote it, or use a new workdir"
        )


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
        if read_only and not directory.is_dir():
            raise CheckpointMismatch(f"{directory}: there are no checkpoints; train")
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=not read_only,
            create=not read_only,
        )
        self._manager = ocp.CheckpointManager(self._directory, options=options)

    def save(self, iteration: int, tree: Any) -> None:
        """Starts to write; `tree` may be donated as soon as this returns.

        Raises RuntimeError where a checkpoint of this or a later iteration exists,
        and the error of the previous save if that failed in the background.
        """
        raw = jax.tree.map(_unwrap, tree)
        listed: dict[str, Any] = {"leaves": contents(tree), "crc32": _checksums(raw)}
        listed["self"] = _checksum(listed)
        args = ocp.args.Composite(
            tree=ocp.args.StandardSave(raw), contents=ocp.args.JsonSave(listed)
        )
        if not self._manager.save(iteration, args=args):
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
        broken = []
        for iteration in reversed(self.iterations()):
            try:
                tree = self._restore(iteration, abstract)
            except CheckpointMismatch:
                raise
            except Exception as error:  # whatever orbax raises on damaged files
                broken.append((iteration, error))
                continue
            self._set_aside(broken, iteration)
            return iteration, tree
        if broken:
            raise CheckpointsBroken(
                f"{self._directory}: none of the checkpoints {[i for i, _ in broken]} "
                f"can be read ({_line(broken[0][1])}); restore one from a backup, or "
                "delete the folder to start over"
            )
        return None

    def iterations(self) -> list[int]:
        """Iterations with a checkpoint, oldest first."""
        return sorted(self._manager.all_steps())

    def restore(self, iteration: int, abstract: Tree) -> Tree:
        """The tree of one iteration. Raises Refused if there is none, or another."""
        if iteration not in self.iterations():
            raise CheckpointMismatch(
                f"{self._directory} has no checkpoint {iteration}; there are "
                f"{self.iterations()}"
            )
        return self._restore(iteration, abstract)

    def _restore(self, iteration: int, abstract: Tree) -> Tree:
        listed = self._manager.restore(
            iteration, args=ocp.args.Composite(contents=ocp.args.JsonRestore())
        )
        stored = dict(listed.contents)
        if stored.pop("self", None) != _checksum(stored):
            raise OSError("the list of contents does not match its checksum")
        where = self._directory / str(iteration)
        _compare(stored["leaves"], contents(abstract), where)
        target = jax.tree.map(_raw, abstract)
        restored = self._manager.restore(
            iteration, args=ocp.args.Composite(tree=ocp.args.StandardRestore(target))
        )
        for path, crc in _checksums(restored.tree).items():
            if stored["crc32"].get(path, crc) != crc:
                raise OSError(f"the bytes of {path} do not match their checksum")
        return jax.tree.map(_wrap, abstract, restored.tree)

    def _set_aside(self, broken: list[tuple[int, Exception]], used: int) -> None:
        for iteration, error in broken:
            what = "left alone"
            if not self._read_only:
                place = self._directory / str(iteration)
                aside = place.with_name(f"{iteration}.broken")
                shutil.rmtree(aside, ignore_errors=True)
                place.rename(aside)
                self._manager.reload()
                what = f"moved to {aside.name}"
            self._say(
                f"checkpoint {iteration} cannot be read ({_line(error)}); {what}, "
                f"going on from checkpoint {used}"
            )

    def wait(self) -> None:
        """Returns when everything saved is on disk; raises if a save failed."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, then stops the writer's threads."""
        self._manager.wait_until_finished()
        self._manager.close()


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}"
