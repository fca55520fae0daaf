"""The facts: (head, relation, tail), made from counters by a fixed hash.

A name is two words and every pair of a type's words is a name, so an entity never
met before is a new pair of known words; a year is one word. Everything here is
NumPy: importing touches no device.
"""

from __future__ import annotations

import numpy as np

from steppo_jax.envs import hashing

NONE = -1
# type → its first and its second words; no word is in two lists
_WORDS = {
    "person": (
        "anna boris clara david elena felix greta hugo ines jonas karla leo mina nils",
        "adler baker costa dubois eklund fischer garcia hansen ivanov jansen keller "
        "lopez meyer novak",
    ),
    "film": (
        "silent broken golden hidden burning frozen distant endless crimson hollow "
        "sacred stolen velvet wicked gentle bitter savage lonely curious faded "
        "restless secret violent yellow",
        "river mirror garden empire summer winter shadow window voyage letter "
        "promise harvest island thunder lantern orchard circus horizon stranger "
        "kingdom ballad canyon fever journey",
    ),
    "company": (
        "alpha nova orion delta zenith apex vertex lumen cobalt titan argon helix",
        "media works labs motors foods energy textiles records studios steel bank "
        "airlines",
    ),
    "city": (
        "north south old new port fort lake mount saint upper lower great",
        "haven ford field bridge bury mouth dale wick stead minster bourne cliff",
    ),
    "country": (
        "united free royal eastern western federal",
        "arlen borova cadia drevia estmark falland",
    ),
    "year": (" ".join(str(1960 + i) for i in range(40)), "."),
}
# (relation, type of the head, type of the tail)
RELATIONS = (
    ("directed_by", "film", "person"),
    ("starring", "film", "person"),
    ("written_by", "film", "person"),
    ("made_by", "film", "company"),
    ("released", "film", "year"),
    ("born_in", "person", "city"),
    ("works_for", "person", "company"),
    ("spouse", "person", "person"),
    ("born", "person", "year"),
    ("based_in", "company", "city"),
    ("founded_by", "company", "person"),
    ("founded", "company", "year"),
    ("in_country", "city", "country"),
    ("mayor", "city", "person"),
    ("capital", "country", "city"),
    ("leader", "country", "person"),
)
RELATION_NAMES = tuple(name for name, _, _ in RELATIONS)
NUM_RELATIONS = len(RELATIONS)

TYPES = tuple(_WORDS)
FIRST_WORDS = {t: first.split() for t, (first, _) in _WORDS.items()}
SECOND_WORDS = {t: second.split() for t, (_, second) in _WORDS.items()}
COUNT = np.array([len(FIRST_WORDS[t]) * len(SECOND_WORDS[t]) for t in TYPES])
START = np.cumsum(COUNT) - COUNT
NUM_ENTITIES = int(COUNT.sum())
YEAR_0 = int(START[-1])  # years come last and head no fact; later ones are greater
TYPE_OF = np.repeat(np.arange(len(TYPES)), COUNT)
# Entities in the order first word by second word, type after type.
NAMES = [(a, b) for t in TYPES for a in FIRST_WORDS[t] for b in SECOND_WORDS[t]]

HEAD_TYPE = np.array([TYPES.index(head) for _, head, _ in RELATIONS])
TAIL_TYPE = np.array([TYPES.index(tail) for _, _, tail in RELATIONS])


def _tails() -> np.ndarray:
    """[entities, relations] int32: the tail of a fact, or NONE where there is none.

    The entities of a type are tails equally often, up to one, so that no name is
    mentioned so much that a search for it would be long. A capital lies in its
    country.
    """
    tail = np.full((NUM_ENTITIES, NUM_RELATIONS), NONE, np.int32)
    for number, (head, to) in enumerate(zip(HEAD_TYPE, TAIL_TYPE)):
        heads = START[head] + np.arange(COUNT[head])
        scattered = np.argsort(hashing.mix((heads * 64 + number).astype(np.uint32)))
        tail[heads, number] = START[to] + scattered % COUNT[to]
    in_country = tail[:, RELATION_NAMES.index("in_country")]
    for country in START[TYPES.index("country")] + np.arange(COUNT[4]):
        capital = np.flatnonzero(in_country == country)[country % 4]
        tail[country, RELATION_NAMES.index("capital")] = capital
    return tail


TAIL = _tails()


def _corpus() -> np.ndarray:
    """[facts, 3] int32 rows (head, relation, tail), in scattered order."""
    head, relation = np.nonzero(TAIL != NONE)
    facts = np.stack([head, relation, TAIL[head, relation]], axis=1)
    order = np.argsort(hashing.mix(np.arange(len(facts), dtype=np.uint32)))
    return facts[order].astype(np.int32)


FACTS = _corpus()
