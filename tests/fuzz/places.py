"""Where a fuzz test puts its files, and what it holds the program to."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from steppo_jax.errors import Refused
from tests.fuzz import mutated


class Place:
    """`inside`, a folder that is given to the program, in one that is not."""

    def __init__(self, folder: pathlib.Path):
        self.around, self.inside = folder, folder / "run" / "inner"
        (folder / "run").mkdir()
        (folder / "run" / "outside").write_text("as it was")

    def _outside(self) -> dict[str, str]:
        found = mutated.listing(self.around)
        return {k: v for k, v in found.items() if not k.startswith("run/inner/")}

    @contextlib.contextmanager
    def only_inside(self) -> Iterator[None]:
        """Nothing but `inside`, which is empty before, changes."""
        shutil.rmtree(self.inside, ignore_errors=True)
        self.inside.mkdir(parents=True)
        before = self._outside()
        yield
        assert self._outside() == before

    def put(self, files: dict[str, bytes]) -> None:
        for name, data in files.items():
            path = self.inside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


@contextlib.contextmanager
def only_refusals() -> Iterator[None]:
    """Refused is one line and fine; any other error fails the test."""
    try:
        yield
    except Refused as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
