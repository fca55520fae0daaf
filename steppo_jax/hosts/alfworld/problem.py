"""A generated game as the PDDL problem that ALFWorld's engine loads."""

from __future__ import annotations

from collections.abc import Iterable

from steppo_jax.hosts.alfworld import package
from steppo_jax.hosts.alfworld.floor_plan import START, FloorPlan, fixed_classes

# ALFWorld's own spelling of what PDDL names cannot hold; "#" stands for "-".
SPELLING = (("-", "_minus_"), ("#", "-"), ("|", "_bar_"), ("+", "_plus_"))
SPELLING += ((".", "_dot_"), (",", "_comma_"))
ABILITIES = {
    "cleanable": "Cleanable",
    "heatable": "Heatable",
    "coolable": "Coolable",
    "toggleable": "Toggleable",
    "sliceable": "Sliceable",
}
LAMPS = ("DeskLamp", "FloorLamp")  # not to be carried


def _spelled(text: str) -> str:
    for plain, pddl in SPELLING:
        text = text.replace(plain, pddl)
    return text


def text(plan: FloorPlan, things: dict[str, tuple[str, str]], goal: str) -> str:
    """The problem.

    Args:
      things: id → (class, id of the receptacle it lies in).
      goal: the (:goal …) of a family, filled in.
    """
    head = _spelled(f"""
(define (problem plan_{plan.number})
    (:domain alfred)
    (:objects
        {_lines(_objects(plan, things))}
    )
""")
    # The name of the cost function has a true "-".
    facts = _spelled(_lines(_facts(plan, things)))
    start = f"    (:init\n        (= (total-cost) 0)\n        {facts}\n    )\n"
    return head + start + _spelled(goal)


def _lines(items: Iterable[str]) -> str:
    return "\n        ".join(items)


def _objects(plan: FloorPlan, things: dict[str, tuple[str, str]]) -> list[str]:
    fixed = fixed_classes()
    kinds = sorted(package.constants().OBJECTS_SET - fixed)
    places = sorted({place for _, place in plan.receptacles.values()} | {START})
    return [
        "agent1 # agent",
        *(f"{kind} # object" for kind in kinds),
        *(f"{kind}Type # otype" for kind in kinds),
        *(f"{kind}Type # rtype" for kind in sorted(fixed)),
        *(f"{name} # object" for name in sorted(things)),
        *(f"{name} # receptacle" for name in sorted(plan.receptacles)),
        *(f"{place} # location" for place in places),
    ]


def _facts(plan: FloorPlan, things: dict[str, tuple[str, str]]) -> list[str]:
    c, fixed = package.constants(), fixed_classes()
    stands = sorted(plan.receptacles.items())
    facts = [f"(receptacleType {name} {kind}Type)" for name, (kind, _) in stands]
    facts += [
        f"(openable {name})"
        for name, (kind, _) in stands
        if kind in c.OPENABLE_CLASS_SET
    ]
    facts += [f"(receptacleAtLocation {name} {place})" for name, (_, place) in stands]
    facts.append(f"(atLocation agent1 {START})")
    for name, (kind, where) in things.items():
        facts.append(f"(objectType {name} {kind}Type)")
        facts.append(f"(inReceptacle {name} {where})")
        facts.append(f"(objectAtLocation {name} {plan.receptacles[where][1]})")
        if kind in c.MOVABLE_RECEPTACLES_SET:
            facts.append(f"(isReceptacleObject {name})")
        if kind not in LAMPS:
            facts.append(f"(pickupable {name})")
        for word, ability in ABILITIES.items():
            if kind in c.VAL_ACTION_OBJECTS[ability]:
                facts.append(f"({word} {name})")
    known = c.OBJECTS_SET - fixed
    facts += [
        f"(canContain {kind}Type {thing}Type)"
        for kind in sorted(fixed)
        for thing in sorted(c.VAL_RECEPTACLE_OBJECTS.get(kind, ()))
        if thing in known
    ]
    return facts
