"""What families on data files have in common: settings, version, rules of the game."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import ClassVar

from steppo_jax.hosts import records, said


@dataclasses.dataclass(frozen=True)
class OnFiles:
    """A family that plays official files where they are, else generated ones."""

    variable: ClassVar[str]  # environment variable that names the folder
    rules: ClassVar[Callable[[int, str], str]]  # (max_steps, form) → instructions
    has_expert: ClassVar[bool] = True

    max_steps: int
    on_time_limit: str = "terminal"
    think_tokens: int = 0  # thoughts are free in text
    data: str = ""  # folder of official files; "": what `variable` says, else generated
    tools: bool = True  # calls as JSON; else lines like search[…]
    seed: int = 0  # of what is generated

    @property
    def title(self) -> str:
        """What results are results on."""
        raise NotImplementedError

    @property
    def version(self) -> str:
        """Names the data too: files that come or go are another environment."""
        return f"1, {self.title}"

    @property
    def tool_form(self) -> str:
        """`tools`, as `said` calls it."""
        return said.form_of(self.tools)

    @property
    def instructions(self) -> str:
        return type(self).rules(self.max_steps, self.tool_form)

    @property
    def folder(self) -> pathlib.Path | None:
        """Of the official files; None where generated ones are played."""
        return records.folder_of("env.data", self.data, self.variable)
