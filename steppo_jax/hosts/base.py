"""What a family of text environments on the host has to offer.

A family names its frozen panels and makes environments that speak text; it is a small
frozen dataclass of settings (numbers, texts, lists of them) that travels to worker
processes as the name of its class and its fields in JSON. An environment itself
(Gymnasium's `reset` and `step`, see `TextEnvironment`) lives in one worker and is never
sent anywhere.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

Info = dict[str, Any]


class TextEnvironment(Protocol):
    """One episode at a time; `reset` starts the next.

    `info` may have "state_key", a number that is equal where the policy is in the same
    situation (else the observation's checksum serves), "expert", what a scripted expert
    would say now, "commands", a list of what can be said, and, once an episode is over,
    "outcome": metrics by name, "success" among them. In a worker it must be JSON.
    """

    instructions: str  # rules of the game: what there is, what can be said

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[str, Info]:
        """Starts an episode: (observation, info).

        Environments of a `HostFamily` take options {"panel": NAME, "task": INDEX}.
        """

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """(observation, reward, terminated, truncated, info) after what was said."""


class HostFamily(Protocol):
    """Environments of one kind; its fields are its settings (`env.*` of a config)."""

    name: ClassVar[str]
    panels: ClassVar[tuple[str, ...]]  # "train" first; then the frozen ones
    has_expert: ClassVar[bool]  # whether info["expert"] is there: for a warm start

    max_steps: int
    on_time_limit: str  # "terminal" or "bootstrap"

    @property
    def version(self) -> str:
        """Stored with every result; changes when episodes do."""

    @property
    def instructions(self) -> str:
        """Rules of the game, as its environments have them; needs no package.

        They stand here too because prompts are built where no environment lives.
        """

    def check(self) -> None:
        """Raises Refused, with the command that installs it, if something is missing.

        Called before a model is loaded; looks for packages, Java and data files.
        """

    def size(self, panel: str) -> int:
        """How many tasks the panel has: options["task"] is in [0, size)."""

    def golden_steps(self, panel: str, task: int) -> int | None:
        """Length of the expert's path where it is known without playing."""

    def make(self) -> TextEnvironment:
        """A fresh environment; called in the process that will play it."""
