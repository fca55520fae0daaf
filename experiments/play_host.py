"""`experiments.play` in a host family: the same words, another world behind them."""

from __future__ import annotations

import random
from collections.abc import Callable

import jax
from rich.console import Console
from rich.text import Text

from experiments import entry
from steppo_jax import hosts
from steppo_jax.hosts import speech
from steppo_jax.hosts.base import HostFamily, Info
from steppo_jax.text.host_programs import HostPrograms
from steppo_jax.text.programs import TextPrograms

# (observation, info, step) → what is said; None to stop.
Speaker = Callable[[str, Info, int], str | None]


def family(config) -> HostFamily:
    """The family of a config, checked for what it needs."""
    given = {k: v for k, v in config.env.to_dict().items() if v is not None}
    try:
        found = hosts.make(**given)
    except ValueError as error:
        entry.stop(f"config.env: {error}")
    found.check()
    return found


def scripted(name: str, seed: int) -> Speaker:
    """The family's expert, or one of the listed commands at random."""
    rng = random.Random(seed)

    def speak(observation: str, info: Info, step: int) -> str | None:
        if name == "expert":
            if "expert" not in info:
                entry.stop("the expert is silent here; use --policy=human or a run")
            return info["expert"]
        if not info.get("commands"):
            entry.stop("--policy=random: this family does not list its commands")
        return rng.choice(info["commands"])

    return speak


def person(console: Console, tools: bool) -> Speaker:
    """Whoever sits at the terminal; commands are said as the family wants them."""

    def speak(observation: str, info: Info, step: int) -> str | None:
        try:
            text = console.input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            return None
        return None if text in ("quit", "exit") else speech.response(text, tools)

    return speak


def trained(p: TextPrograms, params, temperature: float, key: jax.Array) -> Speaker:
    """The policy of a run; step t draws from the key folded with t."""
    assert isinstance(p, HostPrograms)
    speaker = p.speaker(params, temperature)

    def speak(observation: str, info: Info, step: int) -> str:
        return speaker.say(observation, jax.random.fold_in(key, step))

    return speak


def play(
    found: HostFamily, panel: str, index: int, speak: Speaker, console: Console
) -> bool:
    """Plays one episode on the console; True if the task ended by itself."""
    if panel not in found.panels:
        entry.stop(f"--panel={panel} is not one of {', '.join(found.panels)}")
    size = found.size(panel)
    if not 0 <= index < size:
        entry.stop(f"--index={index} is not in 0 … {size - 1} (panel {panel!r})")
    env = found.make()
    observation, info = env.reset(seed=index, options={"panel": panel, "task": index})
    total, over, steps = 0.0, False, 0
    while not over and steps < found.max_steps:
        console.rule(f"step {steps + 1} of at most {found.max_steps}")
        console.print(Text(observation))
        said = speak(observation, info, steps)
        if said is None:
            console.print("stopped", style="yellow")
            return False
        console.print(Text(f"> {said}", style="bold cyan"))
        observation, reward, over, cut, info = env.step(said)
        total, steps = total + reward, steps + 1
        if cut:
            break
    console.rule("end")
    console.print(Text(observation))
    console.print(
        f"{'ended by the task' if over else 'cut by the step limit'} after {steps} "
        f"steps, return {total:g}",
        style="green" if over else "red",
    )
    return over
