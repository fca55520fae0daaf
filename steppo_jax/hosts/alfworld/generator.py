"""New games of ALFWorld's six task families from what its package ships.

Rooms, what fits where, goals and English are ALFRED's; where things lie is ours, drawn
from (panel, task). Results on these games are results on ALFWorld-engine tasks, never
on ALFWorld. As there, `seen` has the rooms of `train` with other games, `unseen` has
rooms that training never enters, and panels have the sizes of the official ones.
"""

from __future__ import annotations

import random
from typing import Any

from steppo_jax.hosts.alfworld import floor_plan, package, problem
from steppo_jax.hosts.alfworld.expert import Goal
from steppo_jax.hosts.alfworld.floor_plan import FloorPlan

VERSION = "1"  # part of every draw: a change makes other games
FAMILIES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
SIZES = {"train": 3553, "seen": 140, "unseen": 134}
# Family → (what the object must be, the receptacle that makes it so).
CHANGES = {
    "pick_clean_then_place_in_recep": ("Cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("Heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("Coolable", "Fridge"),
}
SURFACES = ("Desk", "SideTable", "Dresser", "CoffeeTable", "DiningTable", "Shelf")
SURFACES += ("TVStand",)
DRAWS = 200  # of rooms and things until a family's goal is possible there


class Impossible(Exception):
    """No room was found in which the family's goal can be reached."""


def family_of(task: int) -> str:
    """The families take turns."""
    return FAMILIES[task % len(FAMILIES)]


def game(panel: str, task: int, first: int = 0) -> tuple[dict[str, Any], int]:
    """(the game, number of the draw it came from), the same for the same arguments.

    Args:
      first: draws to leave out, for a caller who found that those cannot be solved.

    Raises Impossible where no draw is any good.
    """
    family, c = family_of(task), package.constants()
    numbers = c.TEST_SCENE_NUMBERS if panel == "unseen" else c.TRAIN_SCENE_NUMBERS
    valid = c.GOALS_VALID[family]
    rooms = sorted(n for n in numbers if floor_plan.room_of(n) in valid)
    for draw in range(first, DRAWS):
        rng = random.Random(f"alfworld {VERSION} {panel} {task} {draw}")
        made = _Draw(floor_plan.read(rng.choice(rooms)), family, rng).game()
        if made is not None:
            return made, draw
    raise Impossible(f"{panel} task {task}: {family} in none of {DRAWS} rooms")


class _Draw:
    """One try to set a family's task up in a room."""

    def __init__(self, plan: FloorPlan, family: str, rng: random.Random):
        self.plan, self.family, self.rng = plan, family, rng
        self.things: dict[str, tuple[str, str]] = {}  # id → (class, receptacle)

    def game(self) -> dict[str, Any] | None:
        """The game, or None where the room has not what the family needs."""
        movable = [kind for kind in self._movable() if kind not in problem.LAMPS]
        able = self._able(movable)
        if not able:
            return None
        thing, lamp, target = self.rng.choice(able), "", ""
        if self.family == "look_at_obj_in_light":
            lamp = self._put_lamp()
            if lamp is None:
                return None
        else:
            targets = self._targets(thing)
            if not targets:
                return None
            target = self.rng.choice(targets)
        needed = 2 if self.family == "pick_two_obj_and_place" else 1
        for _ in range(needed + self.rng.randrange(2)):
            if not self._put(thing, self.plan.holding(thing, but=(target,))):
                return None
        self._clutter([kind for kind in movable if kind != thing])
        goal = package.goals()[self.family]
        words = {"obj": thing, "recep": target, "toggle": lamp, "mrecep": ""}
        said = self.rng.choice(goal["templates"])
        return {
            "goal": Goal(self.family, thing, target, lamp),
            "task": said.format(**{k: word.lower() for k, word in words.items()}),
            "pddl_problem": problem.text(
                self.plan, self.things, goal["pddl"].format(**words)
            ),
        }

    def _movable(self) -> list[str]:
        """Classes of things that the room has and has a place for."""
        c = package.constants()
        return [
            kind
            for kind in self.plan.present
            if (kind in c.OBJECTS_SET - set(c.RECEPTACLES))
            or kind in c.MOVABLE_RECEPTACLES_SET
            if self.plan.holding(kind)
        ]

    def _able(self, movable: list[str]) -> list[str]:
        if self.family not in CHANGES:
            return movable
        ability, needed = CHANGES[self.family]
        if needed not in self.plan.classes:
            return []
        able = package.constants().VAL_ACTION_OBJECTS[ability]
        return [kind for kind in movable if kind in able]

    def _targets(self, thing: str) -> list[str]:
        """Classes of receptacles the thing may have to go to."""
        _, maker = CHANGES.get(self.family, ("", ""))
        fits = package.constants().VAL_RECEPTACLE_OBJECTS
        return sorted(
            kind for kind in self.plan.classes - {maker} if thing in fits.get(kind, ())
        )

    def _put_lamp(self) -> str | None:
        stands = sorted(
            name
            for name, (kind, _) in self.plan.receptacles.items()
            if kind in SURFACES
        )
        lamps = [kind for kind in problem.LAMPS if kind in self.plan.present]
        lamp = self.rng.choice(lamps or ["DeskLamp"])
        return lamp if self._put(lamp, stands) else None

    def _clutter(self, kinds: list[str]) -> None:
        """One to three of everything else, mostly one."""
        for kind in kinds:
            for _ in range(self.rng.choice((1, 1, 2, 3))):
                self._put(kind, self.plan.holding(kind))

    def _put(self, kind: str, where: list[str]) -> bool:
        """Puts a thing somewhere; False where it cannot be."""
        if not where:
            return False
        draw, n = self.rng.randrange, len(self.things) + 1
        name = f"{kind}|+{n:02}.{draw(100):02}|+00.{draw(100):02}"
        name += f"|-{draw(5):02}.{draw(100):02}"
        self.things[name] = (kind, self.rng.choice(where))
        return True
