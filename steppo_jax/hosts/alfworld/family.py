"""ALFWorld: household tasks in six families, at most 20 steps, reward 1 at the goal.

    pip install 'steppo_jax[alfworld]'

alfworld and TextWorld are under MIT; they bring jericho (GPL-2) and
fast-downward-textworld (GPL-3), which is why they are an extra.

As in the paper (docs/official.md): admissible commands are listed without "help", a
command that is not admissible is executed all the same, reward 1 on success and 0 else,
success rates on 140 seen and 134 unseen games. Departures:
  - the prompt's (`commands`);
  - the official code trains on the last step twice, a defect that is not repeated;
  - variant `generated` has games of our own (`generator`);
  - the expert of a warm start knows where everything is (`expert`); ALFWorld's own
    hand-written one looks for it.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from steppo_jax.hosts import requirements
from steppo_jax.hosts.alfworld import generator, official
from steppo_jax.hosts.alfworld.engine import Engine
from steppo_jax.hosts.commands import CommandEnvironment, rules

VARIANTS = ("generated", "official")
LICENCE = "MIT; it brings jericho, GPL-2, and fast-downward-textworld, GPL-3"
GAME = (
    "You are in a household and have a task. Choose one of the possible commands at "
    "each step; things may be inside what is closed."
)


@dataclasses.dataclass(frozen=True)
class Alfworld:
    """The family; `variant` says whose games."""

    name: ClassVar[str] = "alfworld"
    panels: ClassVar[tuple[str, ...]] = ("train", "seen", "unseen")
    has_expert: ClassVar[bool] = True

    max_steps: int = 20
    on_time_limit: str = "terminal"
    think_tokens: int = 0
    variant: str = "generated"
    tools: bool = False

    def __post_init__(self):
        if self.variant not in VARIANTS:
            known = ", ".join(VARIANTS)
            raise ValueError(f"variant: {self.variant!r} is not one of {known}")

    @property
    def version(self) -> str:
        if self.variant == "official":
            return "alfworld 0.4.2, official games, prompt 1"
        return f"alfworld 0.4.2, ALFWorld-engine tasks {generator.VERSION}, prompt 1"

    @property
    def instructions(self) -> str:
        return rules(GAME, self.tools)

    def check(self) -> None:
        for module in ("alfworld", "textworld", "fast_downward"):
            requirements.package(module, self.name, LICENCE)
        if self.variant == "official":
            for panel in self.panels:
                official.files(panel)

    def size(self, panel: str) -> int:
        if self.variant == "official":
            return len(official.files(panel))
        return generator.SIZES[panel]

    def golden_steps(self, panel: str, task: int) -> None:
        return None  # an episode tells

    def make(self) -> CommandEnvironment:
        engine = Engine(self.variant)
        return CommandEnvironment(engine, self.instructions, tools=self.tools)
