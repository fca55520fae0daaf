"""TextWorldExpress (Jansen & Côté 2023, arXiv 2208.01174): eight fast text games.

    pip install 'steppo_jax[textworld-express]'   (Apache-2.0; its jar is in the wheel)

Needs Java. Not among the paper's environments: settings are ours. A task is a game and
a seed of its train, dev or test fold (1,000 each, the simulator's own); variant `all`
goes through the games in turn. Reward is the change of the simulator's score (0 to 1),
so a return is the final score; success is its `tasksuccess`. The expert is its gold
path: not the shortest, and drawn anew at every reset from a generator that nobody can
seed. So golden steps are not known, and two warm starts of one seed are not the same;
everything else is.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from steppo_jax.hosts import requirements
from steppo_jax.hosts.commands import (
    CommandEnvironment,
    Opening,
    Path,
    Scene,
    rules,
)

GAMES = ("cookingworld", "twc", "coin", "mapreader", "arithmetic", "sorting")
GAMES += ("simonsays", "peckingorder")
FOLDS = {"train": 0, "dev": 10_000, "test": 20_000}  # first seed of each
SEEDS = 1_000  # of a fold

GAME = (
    "You play a text game: rooms, things in them, and a task. Choose one of the "
    "possible commands at each step."
)


class Engine:
    """The simulator, one Java process."""

    def __init__(self, games: tuple[str, ...]):
        from textworld_express import TextWorldExpressEnv

        self._games = games
        # Limits are the run's: the simulator's own must not come before.
        self._env = TextWorldExpressEnv(envStepLimit=1_000_000)
        self._loaded = None

    def start(self, panel: str, task: int) -> Opening:
        game, number = self._games[task % len(self._games)], task // len(self._games)
        if game != self._loaded:
            self._env.load(gameName=game, gameParams="")
            self._loaded = game
        text, info = self._env.reset(
            seed=FOLDS[panel] + number, gameFold=panel, generateGoldPath=True
        )
        self._path = Path(self._env.getGoldActionSequence())
        scene = self._scene(text, 0.0, False, info)
        return Opening(info["taskDescription"].strip(), scene, golden_steps=None)

    def act(self, command: str) -> Scene:
        self._path.heed(command)
        text, reward, over, info = self._env.step(command)
        return self._scene(text, reward, over, info)

    def _scene(self, text: str, reward: float, over: bool, info: dict) -> Scene:
        return Scene(
            text=text.strip(),
            commands=tuple(sorted(info["validActions"])),
            expert=self._path.next,
            reward=float(reward),
            over=bool(over),
            success=bool(info["tasksuccess"]),
            score=float(info["score"]),
        )


@dataclasses.dataclass(frozen=True)
class TextWorldExpress:
    """The family; `variant` is a game, or all."""

    name: ClassVar[str] = "textworld_express"
    panels: ClassVar[tuple[str, ...]] = tuple(FOLDS)
    has_expert: ClassVar[bool] = True

    max_steps: int = 50
    on_time_limit: str = "terminal"
    think_tokens: int = 0
    variant: str = "all"
    tools: bool = False

    def __post_init__(self):
        if self.variant not in ("all", *GAMES):
            known = ", ".join(("all", *GAMES))
            raise ValueError(f"variant: {self.variant!r} is not one of {known}")

    @property
    def version(self) -> str:
        return "textworld_express 1.1.0, prompt 1"

    @property
    def instructions(self) -> str:
        return rules(GAME, self.tools)

    def check(self) -> None:
        requirements.package("textworld_express", self.name, "Apache-2.0")
        requirements.package("py4j", self.name, "BSD-3-Clause")
        requirements.java(self.name)

    def size(self, panel: str) -> int:
        return SEEDS * len(self._games)

    def golden_steps(self, panel: str, task: int) -> None:
        return None  # its gold paths differ

    def make(self) -> CommandEnvironment:
        return CommandEnvironment(
            Engine(self._games), self.instructions, tools=self.tools
        )

    @property
    def _games(self) -> tuple[str, ...]:
        return GAMES if self.variant == "all" else (self.variant,)
