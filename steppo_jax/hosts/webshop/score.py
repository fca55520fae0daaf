"""What a purchase is worth: the reward that the WebShop paper defines (2207.01206).

score = r_type · (matched attributes + matched options + [price ≤ limit])
               / (wanted attributes + wanted options + 1)

Details as in web_agent_site/engine/goal.py of github.com/princeton-nlp/WebShop. Three
departures, all in small parts of the match: the official code takes the nouns of a
title from spaCy's tagger, here they are its words without figures and function words;
the names of colours that stand for all colours of the name are our own list; and where
more chosen options match than were wanted, the fraction stops at 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from steppo_jax.hosts import retrieval
from steppo_jax.hosts.webshop.catalogue import Goal, Product

FUZZY = 85  # per cent; a match is better than this
FULL = 0.999  # scores from here on are full ones
EXACT_OPTIONS = ("size",)
# "light blue" is blue. A longer name stands before one that it holds.
COLOURS = (
    *("turquoise", "burgundy", "lavender", "charcoal", "champagne", "chocolate"),
    *("magenta", "crimson", "emerald", "apricot", "mustard", "fuchsia", "maroon"),
    *("orange", "purple", "silver", "yellow", "bronze", "copper", "violet", "indigo"),
    *("salmon", "khaki", "beige", "black", "white", "green", "brown", "ivory", "olive"),
    *("coral", "peach", "cream", "denim", "wine", "navy", "blue", "pink", "gray"),
    *("grey", "gold", "teal", "cyan", "lime", "mint", "plum", "rose", "red", "tan"),
)
_FUNCTION_WORDS = frozenset(
    {
        *("a", "an", "the", "and", "or", "not", "no", "all", "any", "each", "per"),
        *("of", "for", "with", "without", "in", "on", "at", "to", "from", "by", "as"),
        *("up", "down", "out", "off", "over", "under", "is", "are", "be"),
        *("it", "its", "this", "that", "your", "you", "our", "we"),
    }
)


def score(goal: Goal, product: Product, chosen: Mapping[str, str]) -> float:
    """In [0, 1], of buying `product` with `chosen` (option name → value)."""
    points = (
        num_attributes(goal, product)
        + num_options(goal, product, chosen)
        + (product.price <= goal.price_upper)
    )
    wanted = len(goal.attributes) + len(goal.options) + 1
    return min(points / wanted, 1.0) * type_factor(goal, product)


def type_factor(goal: Goal, product: Product) -> float:
    """1 for the right sort of thing, .5, .1 or 0 for others.

    Right is: found by the same query, or two categories shared, or more than a fifth of
    the wanted title's nouns in the title. Almost no noun shared is .1, none 0.
    """
    wanted, has = nouns(goal.title), nouns(product.title)
    title = len(set(wanted) & set(has)) / len(wanted) if wanted else 0.2
    same_query = product.query == goal.query
    shared = _categories(product.product_category) & _categories(goal.product_category)
    if title == 0.0:
        return 0.0
    if title < 0.1:
        return 0.1
    return 1.0 if same_query or len(shared) >= 2 or title > 0.2 else 0.5


def num_attributes(goal: Goal, product: Product) -> int:
    """How many wanted attributes the product has, or its texts mention."""
    texts = _texts(product)
    return sum(
        any(alike(has, wanted) for has in product.attributes)
        or any(wanted in text for text in texts)
        for wanted in goal.attributes
    )


def num_options(goal: Goal, product: Product, chosen: Mapping[str, str]) -> int:
    """How many chosen options are wanted ones, or stand in the product's texts.

    The second is the official rule too, and so may be more than there are wanted ones.
    """
    wanted = [colour(option) for option in goal.options]
    texts = _texts(product)
    matches = 0
    for name, value in chosen.items():
        value = colour(value)
        if name.lower() in EXACT_OPTIONS:
            matched = value in wanted
        else:
            matched = any(alike(option, value) for option in wanted)
        matches += matched or any(value in text for text in texts)
    return matches


def alike(a: str, b: str) -> bool:
    """Whether two phrases match by their sets of words, as `thefuzz` measures it:
    rapidfuzz's token_set_ratio, rounded, above FUZZY."""
    from rapidfuzz import fuzz, utils

    ratio = fuzz.token_set_ratio(a, b, processor=utils.default_process)
    return round(ratio) > FUZZY


def colour(value: str) -> str:
    """The colour that an option names, else the option itself."""
    lower = value.lower()
    return next((name for name in COLOURS if name in lower), value)


def nouns(title: str) -> list[str]:
    """Words of a title that may be nouns."""
    found = retrieval.words(title)
    return [w for w in found if w.isalpha() and w not in _FUNCTION_WORDS]


def _texts(product: Product) -> tuple[str, ...]:
    bullets = " ".join(product.bullets)
    return product.title.lower(), bullets.lower(), product.description.lower()


def _categories(path: str) -> set[str]:
    return {part.strip() for part in path.split("›")}
