"""A small made-up catalogue in the form of the official files, and its goals.

Results on it are results on the "generated catalogue", never WebShop results: titles
are short, attributes are named in the texts, and nothing is misspelt.
"""

from __future__ import annotations

from typing import Any

from steppo_jax.hosts.drawing import number, pick, some

NUM_PRODUCTS = 640
HELD_OUT_ONE_IN = 8  # products that only goals of `test` want
GOALS_EACH = 2
MARK = "held out"  # the category of those products

# type → (department, shelf, options besides colour)
TYPES = {
    "table lamp": ("home", "lighting", "size"),
    "wall mirror": ("home", "decor", "size"),
    "throw pillow": ("home", "bedding", "size"),
    "area rug": ("home", "floor", "size"),
    "office chair": ("office", "seating", "style"),
    "standing desk": ("office", "desks", "size"),
    "running shoes": ("fashion", "shoes", "size"),
    "rain jacket": ("fashion", "coats", "size"),
    "wool scarf": ("fashion", "accessories", "style"),
    "phone case": ("electronics", "phones", "style"),
    "usb cable": ("electronics", "cables", "length"),
    "bluetooth speaker": ("electronics", "audio", "style"),
    "water bottle": ("sports", "hydration", "size"),
    "yoga mat": ("sports", "fitness", "size"),
    "hair brush": ("beauty", "hair", "style"),
    "makeup bag": ("beauty", "bags", "size"),
}
ATTRIBUTES = (
    *("machine washable", "easy clean", "non slip", "long lasting", "high quality"),
    *("easy install", "eco friendly", "quick release", "heavy duty", "light weight"),
    *("water resistant", "hand crafted", "space saving", "cruelty free", "anti static"),
    *("fast charging", "memory foam", "stainless steel", "double sided", "fade proof"),
)
MAKERS = ("Alder", "Brook", "Cobalt", "Dune", "Ember", "Fjord", "Grove", "Haven")
VALUES = {
    "color": ("red", "blue", "green", "black", "white", "purple", "yellow", "brown"),
    "size": ("small", "medium", "large", "x-large", "xx-large"),
    "style": ("classic", "modern", "vintage", "sporty"),
    "length": ("3 feet", "6 feet", "10 feet", "15 feet"),
}


def files(seed: int) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """The contents of items_shuffle, items_ins_v2 and items_human_ins."""
    items, attributes, instructions = [], {}, {}
    for i in range(NUM_PRODUCTS):
        name = ("webshop", seed, i)
        asin = f"B{number(*name) % 36**4:07d}{i % 100:02d}"
        if asin in attributes:  # two products of one number: the later one goes
            continue
        kind = pick(tuple(TYPES), *name, "type")
        department, shelf, second = TYPES[kind]
        has = some(ATTRIBUTES, 4, *name, "attributes")
        offers = {
            option: some(VALUES[option], 3, *name, option)
            for option in ("color", second)
        }
        held_out = number(*name, "held out") % HELD_OUT_ONE_IN == 0
        items.append(
            {
                "asin": asin,
                "name": f"{pick(MAKERS, *name, 'maker')} {kind}, {', '.join(has[:2])}",
                "query": kind,
                "category": MARK if held_out else department,
                "product_category": f"{department} › {shelf} › {kind}",
                "full_description": f"A {kind} that is {' and '.join(has)}.",
                "small_description": [f"{a.capitalize()} {kind}" for a in has],
                "pricing": f"${5 + number(*name, 'price') % 9000 / 100:.2f}",
                "customization_options": {
                    option: [{"value": value, "image": None} for value in values]
                    for option, values in offers.items()
                },
                "images": [""],
            }
        )
        attributes[asin] = {"attributes": has}
        instructions[asin] = [
            _instruction((*name, place), kind, has, offers)
            for place in range(GOALS_EACH)
        ]
    return items, attributes, instructions


def _instruction(
    name: tuple[object, ...], kind: str, has: list[str], offers: dict[str, list[str]]
) -> dict[str, Any]:
    wanted = some(has, 2, *name, "wanted")
    chosen = {option: pick(v, *name, option) for option, v in offers.items()}
    words = " and ".join(f"{option} {value}" for option, value in chosen.items())
    return {
        "instruction": f"i want a {wanted[0]}, {wanted[1]} {kind} in {words}",
        "instruction_attributes": wanted,
        "instruction_options": list(chosen.values()),
    }
