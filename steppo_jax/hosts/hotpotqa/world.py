"""A made-up world: things by kind, the facts about them, and a passage for each."""

from __future__ import annotations

import functools

from steppo_jax.hosts.drawing import number, pick, shuffled

_COUNT = {"film": 500, "person": 400, "company": 80, "city": 60, "country": 20}
_PARTS = (
    *("ba", "bel", "cor", "da", "dren", "el", "fa", "gar", "hol", "im", "jor", "ka"),
    *("lan", "mi", "nor", "os", "pel", "qua", "ri", "sel", "tam", "ul", "ver", "zan"),
)
Fact = dict[str, str]


class World:
    """Things by kind, and a passage for each."""

    def __init__(self, seed: int):
        self.names = {
            kind: [_name(seed, kind, i) for i in range(count)]
            for kind, count in _COUNT.items()
        }
        self.facts: dict[str, Fact] = {}
        for kind, names in self.names.items():
            for name in names:
                self.facts[name] = self._fact(kind, ("qa", seed, name))
        self.text = {name: _say(name, fact) for name, fact in self.facts.items()}

    def _fact(self, kind: str, key: tuple[object, ...]) -> Fact:
        def one(of: str, why: str) -> str:
            return pick(self.names[of], *key, why)

        year = str(1900 + number(*key, "year") % 110)
        return {
            "film": lambda: {
                "kind": "film",
                "director": one("person", "director"),
                "studio": one("company", "studio"),
                "year": year,
            },
            "person": lambda: {
                "kind": "person",
                "city": one("city", "birth"),
                "year": year,
            },
            "company": lambda: {
                "kind": "company",
                "city": one("city", "seat"),
                "founder": one("person", "founder"),
            },
            "city": lambda: {
                "kind": "city",
                "country": one("country", "country"),
                "mayor": one("person", "mayor"),
            },
            "country": lambda: {"kind": "country", "leader": one("person", "leader")},
        }[kind]()

    def follow(self, start: str, relations: tuple[str, ...]) -> list[str]:
        """What a chain of relations meets, the start and the answer among them."""
        met = [start]
        for relation in relations:
            met.append(self.facts[met[-1]][relation])
        return met


@functools.lru_cache(maxsize=4)
def _all_names(seed: int) -> list[str]:
    words = [a + b for a in _PARTS for b in _PARTS]
    pairs = [f"{a} {b}".title() for a in words[::5] for b in words[::7]]
    return shuffled(pairs, "qa names", seed)


def _name(seed: int, kind: str, i: int) -> str:
    before = list(_COUNT)[: list(_COUNT).index(kind)]
    return _all_names(seed)[sum(_COUNT[k] for k in before) + i]


def _say(name: str, fact: Fact) -> str:
    return {
        "film": "{name} is a {year} film. It was directed by {director} and made by "
        "the studio {studio}.",
        "person": "{name} was born in {year} in the city of {city}.",
        "company": "{name} is a company. Its seat is in the city of {city} and it was "
        "founded by {founder}.",
        "city": "{name} is a city in the country of {country}. Its mayor is {mayor}.",
        "country": "{name} is a country. It is led by {leader}.",
    }[fact["kind"]].format(name=name, **fact)
