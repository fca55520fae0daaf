"""Questions about a small made-up world, with their passages, in the files' own forms.

`train` and `validation` have the form of HotpotQA, `2wiki` that of 2WikiMultihopQA and
`musique` that of MuSiQue; the films that validation asks about are asked about nowhere
in train. Results on it are results on the "generated corpus".
"""

from __future__ import annotations

from typing import Any

from steppo_jax.hosts.drawing import number, pick, shuffled
from steppo_jax.hosts.hotpotqa.world import World

SIZES = {"train": 1024, "validation": 256, "2wiki": 256, "musique": 256}
HELD_OUT_ONE_IN = 5  # films
NUM_DISTRACTORS = 4

# question of two facts: (start, relations, words)
_TWO = (
    ("film", ("director", "city"), "In which city was the director of {} born?"),
    ("film", ("studio", "founder"), "Who founded the studio that made {}?"),
    ("film", ("director", "year"), "In which year was the director of {} born?"),
)
_OTHER_TWO = (
    (
        "company",
        ("city", "mayor"),
        "Who is the mayor of the city where {} has its seat?",
    ),
    ("city", ("country", "leader"), "Who leads the country in which {} lies?"),
)
_MORE = (
    (
        "film",
        ("director", "city", "mayor"),
        "Who is the mayor of the city where the director of {} was born?",
    ),
    (
        "film",
        ("studio", "city", "country"),
        "In which country is the seat of the studio that made {}?",
    ),
    (
        "film",
        ("director", "city", "country", "leader"),
        "Who leads the country in which the director of {} was born?",
    ),
)


def files(seed: int) -> dict[str, list[dict[str, Any]]]:
    """The records of each panel's file."""
    world = World(seed)
    films = world.names["film"]
    held_out = [f for f in films if number("qa", seed, f, "out") % HELD_OUT_ONE_IN == 0]
    usual = [f for f in films if f not in set(held_out)]
    starts = {
        "train": {"film": usual},
        "validation": {"film": held_out},
        "2wiki": world.names,
        "musique": world.names,
    }
    chains = {
        "train": _TWO,
        "validation": _TWO,
        "2wiki": _OTHER_TWO,
        "musique": _MORE,
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for panel, size in SIZES.items():
        asked: dict[str, dict[str, Any]] = {}
        i = 0
        while len(asked) < size:
            key = ("qa", seed, panel, i)
            i += 1
            compares = panel != "musique" and number(*key, "compares") % 4 == 0
            record = (
                _comparison(world, key, starts[panel]["film"], panel == "2wiki")
                if compares
                else _chain(world, key, starts[panel], chains[panel])
            )
            if record is not None:
                asked.setdefault(record["question"], record)
        found[panel] = [
            _in_form(world, panel, ("qa", seed, panel, place), record)
            for place, record in enumerate(asked.values())
        ]
    return found


def _chain(world: World, key, starts, chains) -> dict[str, Any] | None:
    kind, relations, words = pick(chains, *key, "chain")
    met = world.follow(pick(starts[kind], *key, "start"), relations)
    if len(set(met)) < len(met):
        return None
    return {"question": words.format(met[0]), "answer": met[-1], "titles": met[:-1]}


def _comparison(world: World, key, films: list[str], of_directors: bool):
    pair = [pick(films, *key, side) for side in ("left", "right")]
    judged = [world.facts[f]["director"] for f in pair] if of_directors else pair
    years = [world.facts[name]["year"] for name in judged]
    if years[0] == years[1] or judged[0] == judged[1]:
        return None
    what = "has the director who was born" if of_directors else "came out"
    return {
        "question": f"Which film {what} earlier, {pair[0]} or {pair[1]}?",
        "answer": pair[years[1] < years[0]],
        "titles": pair + (judged if of_directors else []),
    }


def _in_form(world: World, panel: str, key, record) -> dict[str, Any]:
    """The record as its benchmark writes it, with passages that are not needed."""
    titles = record["titles"]
    everything = sorted(world.text)
    others = [pick(everything, *key, "other", i) for i in range(NUM_DISTRACTORS)]
    shown = shuffled(list(dict.fromkeys([*titles, *others])), *key, "order")
    common = {"question": record["question"], "answer": record["answer"]}
    if panel == "musique":
        paragraphs = [
            {
                "idx": place,
                "title": title,
                "paragraph_text": world.text[title],
                "is_supporting": title in titles,
            }
            for place, title in enumerate(
                [*titles, *(t for t in shown if t not in titles)]
            )
        ]
        aliases = [record["answer"].upper()]
        return {**common, "paragraphs": paragraphs, "answer_aliases": aliases}
    return {
        **common,
        "supporting_facts": [[title, 0] for title in titles],
        "context": [
            [title, [f"{part.rstrip('.')}. " for part in world.text[title].split(". ")]]
            for title in shown
        ],
    }
