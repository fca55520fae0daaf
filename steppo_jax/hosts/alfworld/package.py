"""What is used of the `alfworld` package, imported when it is first asked for."""

from __future__ import annotations

import functools
import os
import pathlib
import tempfile
from types import ModuleType


@functools.cache
def constants() -> ModuleType:
    """Classes of objects and receptacles, and what goes where (AI2-THOR, ALFRED)."""
    _prepare()
    from alfworld.gen import constants

    return constants


@functools.cache
def goals() -> dict:
    """PDDL goals and English templates of every task family."""
    _prepare()
    from alfworld.gen import goal_library

    return goal_library.gdict


@functools.cache
def layouts() -> pathlib.Path:
    """The folder of the 120 floor plans."""
    _prepare()
    import alfworld.gen

    return pathlib.Path(alfworld.gen.__file__).parent / "layouts"


@functools.cache
def logic() -> tuple[str, str]:
    """(PDDL domain, text grammar) of every game."""
    _prepare()
    from alfworld.info import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH

    paths = (ALFRED_PDDL_PATH, ALFRED_TWL2_PATH)
    domain, grammar = (pathlib.Path(path).read_text() for path in paths)
    return domain, grammar


def _prepare() -> None:
    """At import the package makes a folder in the home directory unless told where."""
    if "ALFWORLD_DATA" not in os.environ:
        os.environ["ALFWORLD_DATA"] = tempfile.mkdtemp(prefix="alfworld_", dir=".")
