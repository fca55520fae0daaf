"""WebShop's score by hand values, and against a slow formula written another way."""

import dataclasses
import random
import re

import pytest

from steppo_jax.hosts.webshop import score
from steppo_jax.hosts.webshop.catalogue import NO_LIMIT, Goal, Product
from tests.hosts.data_cases import need

need("rapidfuzz")

GOAL = Goal(
    asin="B1",
    query="men's shirts",
    title="Alder Men's Linen Shirt with Long Sleeve",
    product_category="Clothing › Men › Shirts",
    instruction="i want a linen shirt",
    attributes=("long sleeve", "machine wash"),
    options=("light blue", "large"),
    price_upper=40.0,
)
PRODUCT = Product(
    asin="B1",
    title=GOAL.title,
    query="men's shirts",
    product_category=GOAL.product_category,
    description="Made of linen.",
    bullets=("Machine wash cold", "Button front"),
    attributes=("long sleeves",),
    price=39.99,
    price_tag="$39.99",
    options={"color": ("blue", "red"), "size": ("large", "x-large")},
)
ALL = {"color": "blue", "size": "large"}


def product(**changes) -> Product:
    return dataclasses.replace(PRODUCT, **changes)


@pytest.mark.parametrize(
    ("changes", "chosen", "points"),
    [
        ({}, ALL, 5),  # "long sleeves" is alike, "machine wash" in a bullet
        ({"price": 40.0}, ALL, 5),
        ({"price": 40.01}, ALL, 4),
        ({"bullets": ()}, ALL, 4),
        # sizes must be the very same; "x-large" has all words of "large"
        ({}, {"color": "blue", "size": "x-large"}, 4),
        ({}, {"color": "red", "size": "large"}, 4),
        ({}, {"size": "large"}, 4),
        ({}, {}, 3),
        # an option that stands in the texts counts, wanted or not
        ({"description": "red or blue"}, {"color": "red", "size": "large"}, 5),
        # never more than 1
        ({"description": "red"}, ALL | {"trim": "red"}, 5),
    ],
)
def test_points_by_hand(changes, chosen, points):
    assert score.score(GOAL, product(**changes), chosen) == points / 5


@pytest.mark.parametrize(
    ("title", "query", "category", "factor"),
    [
        (GOAL.title, "men's shirts", "Clothing › Men › Shirts", 1.0),
        # none of its nouns: 0, whatever else agrees
        ("Garden hose", "men's shirts", "Clothing › Men › Shirts", 0.0),
        # nouns of the goal: alder men s linen shirt long sleeve: 1/7 and 2/7
        ("Linen curtain", "curtains", "Home › Windows", 0.5),
        ("Linen curtain", "men's shirts", "Home › Windows", 1.0),
        ("Linen curtain", "curtains", "Clothing › Men", 1.0),
        ("Linen curtain", "curtains", "Clothing › Clothing", 0.5),
        ("Linen shirt", "curtains", "Home", 1.0),
    ],
)
def test_type_factor_by_hand(title, query, category, factor):
    other = product(title=title, query=query, product_category=category)
    assert score.type_factor(GOAL, other) == factor


def test_almost_no_noun_is_a_tenth():
    words = "alder birch cedar elm fir gum hazel ivy juniper kapok larch"
    goal = dataclasses.replace(GOAL, title=words)
    assert score.type_factor(goal, product(title="larch table")) == 0.1


def test_a_title_without_nouns_is_judged_by_query_and_category():
    goal = dataclasses.replace(GOAL, title="12")
    assert score.type_factor(goal, PRODUCT) == 1.0
    assert score.type_factor(goal, product(query="", product_category="")) == 0.5


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("hand washed", "hand wash", True),  # 90 per cent
        ("gluten-free", "Gluten free", True),
        ("quick dry", "quick drying", True),  # 85.7, rounded to 86
        ("wash machine dry", "machine wash", True),  # all words of the other
        ("machine wash", "anti slip", False),
        ("easy clean", "easily cleaned", False),  # 83.3
        ("", "non slip", False),
    ],
)
def test_phrases_that_are_alike(a, b, same):
    assert score.alike(a, b) == score.alike(b, a) == same


def test_colours_stand_for_their_shades():
    assert score.colour("Light Blue") == "blue"
    assert score.colour("turquoise blue") == "turquoise"
    assert score.colour("28 x 28") == "28 x 28"


def slow_ratio(a: str, b: str) -> float:
    """token_set_ratio from its definition, by an edit distance table."""

    def clean(text):
        return set(re.sub(r"[^a-z0-9]", " ", text.lower()).split())

    def similar(x, y):
        table = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
        for i, p in enumerate(x, 1):
            for j, q in enumerate(y, 1):
                longer = max(table[i - 1][j], table[i][j - 1])
                table[i][j] = table[i - 1][j - 1] + 1 if p == q else longer
        return 200 * table[-1][-1] / (len(x) + len(y)) if x or y else 0

    one, two = clean(a), clean(b)
    if not one or not two:
        return 0
    both = " ".join(sorted(one & two))
    left = f"{both} {' '.join(sorted(one - two))}".strip()
    right = f"{both} {' '.join(sorted(two - one))}".strip()
    if both and (one <= two or two <= one):
        return 100
    pairs = [(left, right)] + ([(both, left), (both, right)] if both else [])
    return max(similar(x, y) for x, y in pairs)


def slow_score(goal, item, chosen) -> float:
    """The formula once more, in the order of the paper's text."""
    mentions = [item.title.lower(), " ".join(item.bullets).lower()]
    mentions.append(item.description.lower())

    def in_text(phrase):
        return sum(phrase in text for text in mentions) > 0

    def shade(text):
        names = [c for c in score.COLOURS if c in text.lower()]
        return names[0] if names else text

    points = 1 if item.price <= goal.price_upper else 0
    for attribute in goal.attributes:
        alike = [round(slow_ratio(attribute, h)) >= 86 for h in item.attributes]
        points += 1 if any(alike) or in_text(attribute) else 0
    wishes = [shade(option) for option in goal.options]
    for name, value in chosen.items():
        value = shade(value)
        if name == "size":
            hit = wishes.count(value) > 0
        else:
            hit = any(round(slow_ratio(w, value)) >= 86 for w in wishes)
        points += 1 if hit or in_text(value) else 0
    share = points / (len(goal.attributes) + len(goal.options) + 1)
    return min(share, 1) * score.type_factor(goal, item)


def test_score_equals_the_slow_formula():
    draw = random.Random(0)
    phrases = (
        *("long sleeve", "long sleeves", "sleeve long", "hand wash", "machine wash"),
        *("wash hand only", "easy care", "easy-care", "linen", "fine linen"),
    )
    values = ("red", "dark red", "navy blue", "large", "x-large", "pack of 2", "2 pack")
    seen = set()
    for _ in range(300):
        some = lambda of, n: tuple(draw.sample(of, n))  # noqa: E731
        goal = dataclasses.replace(
            GOAL,
            attributes=some(phrases, draw.randint(1, 3)),
            options=some(values, draw.randint(0, 3)),
            price_upper=draw.choice([10.0, 40.0, NO_LIMIT]),
        )
        item = product(
            attributes=some(phrases, draw.randint(0, 3)),
            bullets=some(phrases, 1),
            description=" ".join(some(values, draw.randint(0, 2))),
        )
        chosen = dict(zip(("color", "size", "count"), some(values, draw.randint(0, 3))))
        got = score.score(goal, item, chosen)
        assert got == pytest.approx(slow_score(goal, item, chosen), abs=1e-12)
        seen.add(round(got, 2))
    assert len(seen) > 10  # it does tell things apart
