"""Entry points in the process of the tests, each with its own flags.

absl keeps the flags of a process in one place, and two entry points may give one name
to different flags. So a module's flags are put away as soon as it is imported, and are
there only while one of its tests runs.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType

import absl.app  # noqa: F401  its own flags are there before any entry point's
import pytest
from absl import flags
from absl.testing import flagsaver

_OWN: dict[str, dict[str, flags.Flag]] = {}  # of each entry point, by name


def load(name: str) -> ModuleType:
    """experiments.NAME; its flags are put away."""
    before = set(flags.FLAGS)
    module = importlib.import_module(f"experiments.{name}")
    if name not in _OWN:
        _OWN[name] = {new: flags.FLAGS[new] for new in set(flags.FLAGS) - before}
        _put_away(name)
    return module


@contextlib.contextmanager
def flags_of(name: str) -> Iterator[None]:
    """The entry point's flags, parsed and with their defaults, and nobody else's."""
    for own, flag in _OWN[name].items():
        flags.FLAGS[own] = flag
    try:
        with flagsaver.flagsaver():
            flags.FLAGS([name])
            yield
    finally:
        _put_away(name)


def with_flags(name: str):
    """A fixture that every test of a module uses: `flags_of` around it."""

    @pytest.fixture(autouse=True)
    def its_flags():
        with flags_of(name):
            yield

    return its_flags


def _put_away(name: str) -> None:
    for own in _OWN[name]:
        delattr(flags.FLAGS, own)
