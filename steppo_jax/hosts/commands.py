"""Text games that take one command a step: prompt, parsing and outcome of all of them.

A family gives a `Simulator`; this makes the environment. The observation is rebuilt at
every step, as in the official code, and has these parts: the task, the actions so far
(a numbered list), the newest of the earlier observations where a family asks for some,
the commands that are possible, what the game says now. Departures from the official
prompt:
  - the present observation stands last and the task first: a prompt that is too long
    loses its middle, so both stay;
  - the system prompt is our own wording;
  - a response without a command changes nothing and is answered by one line before the
    unchanged observation; it stays in the list of actions as "(no command)", where the
    official code loses it after the next valid one. It costs nothing, as there.
A command that is not possible is sent to the game all the same, as there.
"""

from __future__ import annotations

import dataclasses
import zlib
from typing import Protocol

from steppo_jax.hosts import speech
from steppo_jax.hosts.base import Info

NO_COMMAND = "Your last answer held no command."


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a simulator says after a command."""

    text: str
    commands: tuple[str, ...] = ()  # possible ones; () where they are not listed
    expert: str | None = None  # the expert's next command, where it knows one
    reward: float = 0.0
    over: bool = False
    success: bool = False
    score: float = 0.0  # the simulator's own


@dataclasses.dataclass(frozen=True)
class Opening:
    """How an episode starts."""

    task: str  # what is to be done, in words
    scene: Scene
    golden_steps: int | None  # length of the expert's path


class Simulator(Protocol):
    """A game engine in this process."""

    def start(self, panel: str, task: int) -> Opening:
        """Starts a task of a panel."""

    def act(self, command: str) -> Scene:
        """What comes of a command."""


class CommandEnvironment:
    """A `TextEnvironment` of a simulator."""

    def __init__(
        self,
        simulator: Simulator,
        instructions: str,
        *,
        tools: bool = False,
        remembered: int = 0,
    ):
        """`remembered` is how many earlier observations stand in the prompt."""
        self.instructions = instructions
        self._simulator, self._tools, self._remembered = simulator, tools, remembered

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[str, Info]:
        if options is None or not {"panel", "task"} <= set(options):
            raise ValueError("reset needs options['panel'] and options['task']")
        opening = self._simulator.start(options["panel"], options["task"])
        self._task, self._scene = opening.task, opening.scene
        self._golden = opening.golden_steps
        self._past: list[tuple[str, str]] = []  # (observation, command)
        self._strange = self._empty = 0
        return self._prompt(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        command = speech.command(action, self._tools)
        if command is None:
            self._empty += 1
            self._past.append((self._scene.text, "(no command)"))
            prompt = self._prompt(f"{NO_COMMAND}\n")
            return prompt, 0.0, False, False, self._info()
        listed = self._scene.commands
        self._strange += bool(listed) and command not in listed
        self._past.append((self._scene.text, command))
        self._scene = scene = self._simulator.act(command)
        return self._prompt(), scene.reward, scene.over, False, self._info()

    def _prompt(self, complaint: str = "") -> str:
        parts = [f"Task: {self._task}"]
        if self._past:
            done = [f"{n}. {said}" for n, (_, said) in enumerate(self._past, start=1)]
            parts.append("Done so far: " + " ".join(done))
        # The newest was seen before the last command.
        for seen, said in self._past[len(self._past) - self._remembered :]:
            parts.append(f"Before: {seen}\n> {said}")
        if self._scene.commands:
            parts.append("Possible: " + ", ".join(self._scene.commands))
        parts.append(f"{complaint}Now: {self._scene.text}")
        return "\n".join(parts)

    def _info(self) -> Info:
        scene = self._scene
        info: Info = {
            # The situation without the way to it (GiGPO's anchor in the paper).
            "state_key": zlib.crc32(scene.text.encode()),
            "commands": list(scene.commands),
            "outcome": {
                "success": float(scene.success),
                "score": float(scene.score),
                "impossible": float(self._strange),
                "no_command": float(self._empty),
            },
        }
        if scene.expert is not None:
            info["expert"] = speech.response(scene.expert, self._tools)
        if self._golden is not None:
            info["outcome"]["golden_steps"] = float(self._golden)
        return info


def rules(game: str, tools: bool) -> str:
    """The system prompt: what the game is, and how one acts."""
    return f"{game}\n{speech.TOOL_FORMAT if tools else speech.FORMAT}"


class Path:
    """An expert who knows one path: it is silent once the path was left."""

    def __init__(self, commands: list[str]):
        self._left = list(commands)
        self.length = len(commands)

    @property
    def next(self) -> str | None:
        """What it would say now."""
        return self._left[0] if self._left else None

    def heed(self, command: str) -> None:
        """Takes note of what was done."""
        followed = self._left and self._left[0] == command
        self._left = self._left[1:] if followed else []
