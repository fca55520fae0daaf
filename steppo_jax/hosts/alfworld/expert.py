"""The shortest way to a goal for somebody who knows where everything is.

TextWorld's planner finds such ways too, but takes up to 15 s for a game; the six
families need no search beyond which thing, which receptacle. docs/hosts.md compares the
lengths.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

MAKERS = {  # family → (verb, class of the receptacle that does it)
    "pick_clean_then_place_in_recep": ("clean", "sinkbasin"),
    "pick_heat_then_place_in_recep": ("heat", "microwave"),
    "pick_cool_then_place_in_recep": ("cool", "fridge"),
}


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a family asks for; classes as the package spells them, "" if unused."""

    family: str
    thing: str
    target: str
    lamp: str


class World:
    """Where everything is, from the facts of the engine's first state."""

    def __init__(self, facts: Iterable[Any], names: dict[str, str]):
        self.names = names  # id → how the game calls it
        self.kinds: dict[str, str] = {}  # id of a thing or receptacle → class
        self.holder: dict[str, str] = {}  # thing → receptacle
        self.place: dict[str, str] = {}  # receptacle → location
        self.openable: set[str] = set()
        for fact in facts:
            who = [variable.name for variable in fact.arguments]
            if fact.name in ("objecttype", "receptacletype"):
                self.kinds[who[0]] = who[1].removesuffix("type")
            elif fact.name == "inreceptacle":
                self.holder[who[0]] = who[1]
            elif fact.name == "receptacleatlocation":
                self.place[who[0]] = who[1]
            elif fact.name == "openable":
                self.openable.add(who[0])

    def things(self, kind: str) -> list[str]:
        """Things of a class that lie in a receptacle of the room."""
        return sorted(
            name
            for name, holder in self.holder.items()
            if self.kinds.get(name) == kind.lower() and holder in self.place
        )

    def receptacles(self, kind: str) -> list[str]:
        return sorted(r for r in self.place if self.kinds.get(r) == kind.lower())


class Walk:
    """Commands one after the other; goes and opens only where that is needed."""

    def __init__(self, world: World):
        self.world, self.commands = world, []
        self._at, self._opened = "", set()

    def reach(self, receptacle: str, inside: bool) -> None:
        """Stands before a receptacle, open if it is the inside that matters."""
        name = self.world.names[receptacle]
        if self._at != self.world.place[receptacle]:
            self._at = self.world.place[receptacle]
            self.commands.append(f"go to {name}")
        if inside and receptacle in self.world.openable - self._opened:
            self._opened.add(receptacle)
            self.commands.append(f"open {name}")

    def take(self, thing: str) -> None:
        holder = self.world.holder[thing]
        self.reach(holder, inside=True)
        names = self.world.names
        self.commands.append(f"take {names[thing]} from {names[holder]}")

    def put(self, thing: str, receptacle: str) -> None:
        self.reach(receptacle, inside=True)
        names = self.world.names
        self.commands.append(f"move {names[thing]} to {names[receptacle]}")

    def change(self, verb: str, thing: str, maker: str) -> None:
        self.reach(maker, inside=False)
        names = self.world.names
        self.commands.append(f"{verb} {names[thing]} with {names[maker]}")

    def use(self, lamp: str) -> None:
        self.reach(self.world.holder[lamp], inside=False)
        self.commands.append(f"use {self.world.names[lamp]}")


def path(world: World, goal: Goal) -> list[str]:
    """The shortest of all ways; [] where there is none."""
    ways = [walk.commands for walk in _ways(world, goal)]
    return min(ways, key=len, default=[])


def _ways(world: World, goal: Goal) -> Iterator[Walk]:
    things, targets = world.things(goal.thing), world.receptacles(goal.target)
    if goal.family == "look_at_obj_in_light":
        for thing, lamp in itertools.product(things, world.things(goal.lamp)):
            walk = Walk(world)
            walk.take(thing)
            walk.use(lamp)
            yield walk
    elif goal.family == "pick_two_obj_and_place":
        for pair in itertools.permutations(things, 2):
            for target in targets:
                walk = Walk(world)
                for thing in pair:
                    walk.take(thing)
                    walk.put(thing, target)
                yield walk
    else:
        verb, kind = MAKERS.get(goal.family, ("", ""))
        makers = world.receptacles(kind) if kind else [""]
        for thing, maker, target in itertools.product(things, makers, targets):
            walk = Walk(world)
            walk.take(thing)
            if maker:
                walk.change(verb, thing, maker)
            walk.put(thing, target)
            yield walk
