"""What a compiled program sends between devices, read from its text.

The bytes of a collective are those of its result on one device. A loop's body counts
as often as the loop runs: the compiler says it, or the loop's condition compares with
a constant (from 0 by 1 is taken for granted); a loop whose count follows the data runs
`slices` times (those of `learner.microbatch`).
"""

from __future__ import annotations

import math
import re

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all")
KINDS += ("collective-permute",)
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f64": 8, "s64": 8, "u64": 8}

HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
KIND = re.compile(rf" ({'|'.join(KINDS)})(-start)?\(")
ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|branch_computations|called_computations)="
    r"(?:\{([^}]*)\}|%?([\w.\-]+))"
)
TRIPS = re.compile(r"known_trip_count[^\d]*(\d+)")
CONDITION = re.compile(r"condition=%?([\w.\-]+)")
LESS = re.compile(r"ROOT .* compare\(.*, [^,]*?%?([\w.\-]+)\), direction=LT")
CONSTANT = re.compile(r"%?([\w.\-]+) = .*? constant\((\d+)\)")


def collectives(text: str, slices: int) -> dict[str, int]:
    """Kind → bytes that arrive at each device in one run of the program."""
    bodies, entry = _computations(text)
    total = dict.fromkeys(KINDS, 0)

    def walk(name: str, times: int) -> None:
        for line in bodies.get(name, ()):
            found = KIND.search(line)
            if found:
                result = line.partition("=")[2][: found.start() - line.index("=")]
                total[found[1]] += times * _bytes(result, bool(found[2]))
            again = times
            if " while(" in line:
                again *= _trips(line, bodies) or slices
            for several, one in CALLED.findall(line):
                for called in (several or one).replace("%", "").split(","):
                    walk(called.strip(), again)

    walk(entry, 1)
    return total


def _trips(line: str, bodies: dict[str, list[str]]) -> int | None:
    """How often a loop runs; None where that follows the data."""
    if known := TRIPS.search(line):
        return int(known[1])
    named = CONDITION.search(line)
    lines = bodies.get(named[1], []) if named else []
    bound = next(filter(None, map(LESS.search, lines)), None)
    constants = dict(m.groups() for m in map(CONSTANT.search, lines) if m)
    return int(constants[bound[1]]) if bound and bound[1] in constants else None


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Lines of each computation, and the name of the one that runs."""
    bodies: dict[str, list[str]] = {}
    name, entry = "", ""
    for line in text.splitlines():
        head = HEAD.match(line)
        if head:
            name, entry = head[2], head[2] if head[1] else entry
            bodies[name] = []
        elif name:
            bodies[name].append(line)
    return bodies, entry


def _bytes(shapes: str, started: bool) -> int:
    """Bytes of a result; of one that is only started, its last array's."""
    sizes = [
        BYTES.get(kind, 4) * math.prod(int(n) for n in dims.split(",") if n)
        for kind, dims in ARRAY.findall(shapes)
    ]
    return max(sizes, default=0) if started else sum(sizes)
