"""Receptacles of a room: those of a floor plan, and the fixtures that plans leave out.

A plan that ships with ALFWorld has the positions of what can be opened or put upon; it
lists sinks, fridges and the like by name only. Those get positions of ours.
"""

from __future__ import annotations

import dataclasses
import json

from steppo_jax.hosts.alfworld import package

FIXTURES = {
    "Kitchen": (
        *("SinkBasin", "Microwave", "Fridge", "CoffeeMachine", "Toaster"),
        *("GarbageCan", "StoveBurner", "StoveBurner"),
    ),
    "Bathroom": (
        *("SinkBasin", "BathtubBasin", "Toilet", "GarbageCan", "TowelHolder"),
        *("HandTowelHolder", "ToiletPaperHanger"),
    ),
    "LivingRoom": ("GarbageCan",),
    "Bedroom": ("GarbageCan", "LaundryHamper"),
}
BASINS = {"Sink": "SinkBasin", "Bathtub": "BathtubBasin"}
START = "loc|0|0|0|30"  # where the agent stands at first


@dataclasses.dataclass(frozen=True)
class FloorPlan:
    """What stands in a room."""

    number: int
    room: str
    receptacles: dict[str, tuple[str, str]]  # id → (class, location)
    present: tuple[str, ...]  # classes of things that the room has

    @property
    def classes(self) -> set[str]:
        """Classes of its receptacles."""
        return {kind for kind, _ in self.receptacles.values()}

    def holding(self, thing: str, but: tuple[str, ...] = ()) -> list[str]:
        """Receptacles that a thing can lie in, those of the classes `but` left out."""
        fits = package.constants().VAL_RECEPTACLE_OBJECTS
        return [
            name
            for name, (kind, _) in sorted(self.receptacles.items())
            if thing in fits.get(kind, ()) and kind not in but
        ]


def fixed_classes() -> set[str]:
    """Classes of receptacles that cannot be carried."""
    c = package.constants()
    return c.RECEPTACLES - set(c.MOVABLE_RECEPTACLES_SET)


def room_of(number: int) -> str:
    """Kitchen, LivingRoom, Bedroom or Bathroom."""
    types = package.constants().SCENE_TYPE
    return next(room for room, numbers in types.items() if number in numbers)


def read(number: int) -> FloorPlan:
    """Floor plan `number` with its fixtures."""
    folder, fixed = package.layouts(), fixed_classes()
    present = json.loads((folder / f"FloorPlan{number}-objects.json").read_text())
    places = json.loads((folder / f"FloorPlan{number}-openable.json").read_text())
    found: dict[str, tuple[str, str]] = {}
    for name, (x, z, turn, tilt) in places.items():
        kind = name.partition("|")[0]
        kind = BASINS.get(kind, kind)
        if kind in fixed:
            if kind in BASINS.values():
                name = f"{name}|{kind}"
            place = (round(x * 4), round(z * 4), turn // 90 % 4, tilt)
            found[name] = (kind, "loc|{}|{}|{}|{}".format(*place))
    room, given = room_of(number), {kind for kind, _ in found.values()}
    for kind in FIXTURES[room]:
        there = kind in present or kind.removesuffix("Basin") in present
        if there and (kind not in given or kind == "StoveBurner"):
            n = len(found)
            name = f"{kind.removesuffix('Basin')}|+{n:02}.00|+00.90|-{n:02}.50"
            if kind.endswith("Basin"):
                name += f"|{kind}"
            found[name] = (kind, f"loc|{50 + n}|{n}|0|0")
    return FloorPlan(number, room, found, tuple(sorted(set(present))))
