"""Plays a host family's expert in its simulator and prints what it reaches.

    python -m experiments.golden --family=alfworld --panel=unseen --episodes=60
    python -m experiments.golden --family=scienceworld --panel=test --episodes=30
    python -m experiments.golden --family=textworld_express --episodes=80

The simulator's own score must be the full one: what we parse, send and reward is then
what it means. Needs the family's package (docs/hosts.md) and no model. Exits with 1 if
an episode falls short.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from experiments import entry
from steppo_jax import hosts

FAMILY = flags.DEFINE_enum("family", None, hosts.names(), "Whose expert to play.")
VARIANT = flags.DEFINE_string("variant", None, "As config.env.variant.")
PANEL = flags.DEFINE_string("panel", "train", "Panel the tasks are from.")
EPISODES = flags.DEFINE_integer("episodes", 30, "How many tasks.", lower_bound=1)
FIRST = flags.DEFINE_integer("first", 0, "The first of them.", lower_bound=0)
KINDS = flags.DEFINE_integer(
    "kinds", None, "Tasks take turns: task i is of kind i % kinds.", lower_bound=1
)
TURNS = {"alfworld": 6, "scienceworld": 30, "textworld_express": 8}
LONGEST = 500  # steps; no gold path is longer


@dataclasses.dataclass
class Played:
    """One episode of the expert."""

    steps: int
    total: float
    outcome: dict[str, float]
    over: bool
    reset_seconds: float  # all of them CPU seconds of this process
    step_seconds: float


def play(env: Any, panel: str, task: int) -> Played:
    """Says what the expert says until the episode is over or it is silent."""
    start = time.process_time()
    _, info = env.reset(seed=task, options={"panel": panel, "task": task})
    middle = time.process_time()
    steps, total, over = 0, 0.0, False
    while not over and "expert" in info and steps < LONGEST:
        _, reward, over, _, info = env.step(info["expert"])
        steps, total = steps + 1, total + reward
    end = time.process_time()
    return Played(steps, total, info["outcome"], over, middle - start, end - middle)


def table(kinds: dict[int, list[Played]]) -> Table:
    """One row per kind of task, and all of them."""
    shown = Table("kind", "episodes", "success", "score", "return", "steps")
    everyone = [p for episodes in kinds.values() for p in episodes]
    rows = [*((str(kind), kinds[kind]) for kind in sorted(kinds)), ("all", everyone)]
    for name, episodes in rows:
        n = len(episodes)
        shown.add_row(
            name,
            str(n),
            f"{sum(p.outcome['success'] for p in episodes) / n:.3f}",
            f"{sum(p.outcome['score'] for p in episodes) / n:.3f}",
            f"{sum(p.total for p in episodes) / n:.2f}",
            f"{sum(p.steps for p in episodes) / n:.1f}",
        )
    return shown


def main() -> None:
    given = {} if VARIANT.value is None else {"variant": VARIANT.value}
    try:
        family = hosts.make(FAMILY.value, **given)
    except ValueError as error:
        entry.stop(f"--variant={VARIANT.value}: {error}")
    if PANEL.value not in family.panels:
        entry.stop(f"--panel={PANEL.value} is not one of {', '.join(family.panels)}")
    family.check()
    turns = KINDS.value or (1 if VARIANT.value else TURNS.get(FAMILY.value, 1))
    env, kinds = family.make(), {}
    size = family.size(PANEL.value)
    if FIRST.value >= size:
        entry.stop(f"--first={FIRST.value}: panel {PANEL.value!r} has {size} tasks")
    for task in range(FIRST.value, min(FIRST.value + EPISODES.value, size)):
        played = play(env, PANEL.value, task)
        kinds.setdefault(task % turns, []).append(played)
        if not played.outcome["success"]:
            print(f"task {task} fell short: {played}")
    everyone = [p for episodes in kinds.values() for p in episodes]
    Console(width=80).print(table(kinds))
    steps, seconds = (
        sum(p.steps for p in everyone),
        sum(p.step_seconds for p in everyone),
    )
    resets = sum(p.reset_seconds for p in everyone) / len(everyone)
    print(
        f"{family.version}: {steps} steps, {steps / max(seconds, 1e-9):.0f} steps and "
        f"{1 / max(resets, 1e-9):.1f} resets per CPU-second of this process (Java's "
        "not counted)"
    )
    sys.exit(0 if all(p.outcome["success"] for p in everyone) else 1)


if __name__ == "__main__":
    entry.launch(main, "family")
