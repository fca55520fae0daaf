"""ScienceWorld (Wang et al. 2022, arXiv 2203.07540): thirty science tasks.

    pip install 'steppo_jax[scienceworld]'   (Apache-2.0; its jar is in the wheel)

Needs Java. As in the official code of CAPO, the only one with this environment: 3,592
train and 1,819 test tasks of the simulator's own folds (1,796 dev), at most 30 steps,
reward 10 on success and 0 else, a list of the actions so far and the last 2
observations in the prompt. Departures:
  - the prompt's (`commands`);
  - valid actions are not listed: there are hundreds, and they take the simulator ten
    times as long as the step itself;
  - no panel of 100 train tasks (the head of `train` is one);
  - no simplification is used; whether the official code has any is not known to us.
The expert is the simulator's gold path, which for some tasks is drawn anew at every
reset: golden steps are not known, and two warm starts of one seed are not the same.

The score (0 to 100, a final one below 0 ends the episode as a failure) is kept with
every task.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import ClassVar

from steppo_jax.hosts import requirements
from steppo_jax.hosts.commands import (
    CommandEnvironment,
    Opening,
    Path,
    Scene,
    rules,
)

PANELS = ("train", "dev", "test")
REWARD = 10.0
# Task → how many variations each fold has.
SIZES: dict[str, tuple[int, int, int]] = {
    "boil": (14, 7, 9),
    "change-the-state-of-matter-of": (14, 7, 9),
    "chemistry-mix": (16, 8, 8),
    "chemistry-mix-paint-secondary-color": (18, 9, 9),
    "chemistry-mix-paint-tertiary-color": (18, 9, 9),
    "find-animal": (150, 75, 75),
    "find-living-thing": (150, 75, 75),
    "find-non-living-thing": (150, 75, 75),
    "find-plant": (150, 75, 75),
    "freeze": (14, 7, 9),
    "grow-fruit": (62, 31, 33),
    "grow-plant": (62, 31, 33),
    "identify-life-stages-1": (6, 3, 5),
    "identify-life-stages-2": (4, 2, 4),
    "inclined-plane-determine-angle": (84, 42, 42),
    "inclined-plane-friction-named-surfaces": (692, 346, 348),
    "inclined-plane-friction-unnamed-surfaces": (80, 40, 42),
    "lifespan-longest-lived": (62, 31, 32),
    "lifespan-longest-lived-then-shortest-lived": (62, 31, 32),
    "lifespan-shortest-lived": (62, 31, 32),
    "measure-melting-point-known-substance": (218, 109, 109),
    "measure-melting-point-unknown-substance": (150, 75, 75),
    "melt": (14, 7, 9),
    "mendelian-genetics-known-plant": (60, 30, 30),
    "mendelian-genetics-unknown-plant": (240, 120, 120),
    "power-component": (10, 5, 5),
    "power-component-renewable-vs-nonrenewable-energy": (10, 5, 5),
    "test-conductivity": (450, 225, 225),
    "test-conductivity-of-unknown-substances": (300, 150, 150),
    "use-thermometer": (270, 135, 135),
}
GAME = (
    "You are in a house with a laboratory and have a science task. Commands: look "
    "around, look at X, look in X, inventory, task, open X, close X, go to X, pick up "
    "X, put down X, move X to Y, pour X in Y, dunk X in Y, mix X, use X on Y, activate "
    "X, deactivate X, connect X to Y, disconnect X, read X, eat X, flush X, wait, "
    "wait1, focus on X (names the thing that the task is about)."
)


@functools.cache
def tasks(variant: str, panel: str) -> tuple[tuple[str, int], ...]:
    """(task, place in its fold) of a panel; the tasks take turns."""
    names = tuple(SIZES) if variant == "all" else (variant,)
    fold = PANELS.index(panel)
    most = max(SIZES[name][fold] for name in names)
    return tuple(
        (name, k) for k in range(most) for name in names if k < SIZES[name][fold]
    )


class Engine:
    """The simulator, one Java process."""

    def __init__(self, variant: str):
        from scienceworld import ScienceWorldEnv

        self._variant = variant
        # Limits are the run's: the simulator's own must not come before.
        self._env = ScienceWorldEnv("", envStepLimit=1_000_000)
        self._folds: dict[tuple[str, str], list[int]] = {}

    def start(self, panel: str, task: int) -> Opening:
        name, place = tasks(self._variant, panel)[task]
        env = self._env
        if (name, panel) not in self._folds:
            env.load(name, 0, "")
            read = getattr(env, f"get_variations_{panel}")
            self._folds[name, panel] = sorted(read())
        env.load(name, self._folds[name, panel][place], "", generateGoldPath=True)
        self._path = Path(list(env.get_gold_action_sequence()))
        text = env.server.step("look around")
        goal = env.taskdescription().replace("Task Description:", "")
        return Opening(_line(goal), self._scene(text), golden_steps=None)

    def act(self, command: str) -> Scene:
        self._path.heed(command)
        # Not `env.step`: it lists all valid actions, which takes most of its time.
        return self._scene(self._env.server.step(command))

    def _scene(self, text: str) -> Scene:
        score = round(100 * self._env.server.getScore())
        over = bool(self._env.server.getCompleted()) or score < 0
        success = over and score >= 100
        return Scene(
            text=_line(text),
            expert=self._path.next,
            reward=REWARD * success,
            over=over,
            success=success,
            score=float(score),
        )


def _line(text: str) -> str:
    """Lists of things stand on lines of their own; one line is shorter to read."""
    return " ".join(text.split())


@dataclasses.dataclass(frozen=True)
class ScienceWorld:
    """The family; `variant` is a task, or all."""

    name: ClassVar[str] = "scienceworld"
    panels: ClassVar[tuple[str, ...]] = PANELS
    has_expert: ClassVar[bool] = True

    max_steps: int = 30
    on_time_limit: str = "terminal"
    think_tokens: int = 0
    variant: str = "all"
    tools: bool = False

    def __post_init__(self):
        if self.variant not in ("all", *SIZES):
            known = ", ".join(("all", *SIZES))
            raise ValueError(f"variant: {self.variant!r} is not one of {known}")

    @property
    def version(self) -> str:
        return "scienceworld 1.2.3, prompt 1"

    @property
    def instructions(self) -> str:
        return rules(GAME, self.tools)

    def check(self) -> None:
        requirements.package("scienceworld", self.name, "Apache-2.0")
        requirements.java(self.name)

    def size(self, panel: str) -> int:
        return len(tasks(self.variant, panel))

    def golden_steps(self, panel: str, task: int) -> None:
        return None  # some of its gold paths differ

    def make(self) -> CommandEnvironment:
        return CommandEnvironment(
            Engine(self.variant), self.instructions, tools=self.tools, remembered=2
        )
