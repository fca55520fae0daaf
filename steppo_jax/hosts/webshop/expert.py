"""A shopper who knows the product: searches for it, chooses what is wanted, buys it."""

from __future__ import annotations

from steppo_jax.hosts.webshop import pages, score
from steppo_jax.hosts.webshop.catalogue import Goal, Product
from steppo_jax.hosts.webshop.pages import BUY, NEXT, PREV, Visit
from steppo_jax.hosts.webshop.shop import Shop


def command(visit: Visit, shop: Shop) -> str:
    """What to do now.

    Search words are the goal's own, which its instruction has too; only where they do
    not find the product, its title.
    """
    goal = visit.goal
    if visit.page == "search":
        return f"search[{_query(goal, shop)}]"
    if visit.page == "results":
        if goal.asin in visit.shown():
            return f"click[{goal.asin.lower()}]"
        if goal.asin in visit.results[visit.number * pages.PER_PAGE :]:
            return f"click[{NEXT}]"
        return f"search[{_query(goal, shop)}]"
    if visit.asin != goal.asin or visit.page != "item":
        return f"click[{PREV}]"
    for name, value in choices(goal, visit.product(shop)).items():
        if visit.chosen.get(name) != value:
            return f"click[{value}]"
    return f"click[{BUY}]"


def choices(goal: Goal, product: Product) -> dict[str, str]:
    """The options to choose: for each, a value that is wanted, if there is one."""
    found = {}
    owner = {value: name for name, value in pages.options(product)}
    for name, offered in product.options.items():
        values = [v for v in offered if owner.get(v) == name]  # a click means this one
        exact = [v for v in values if v in goal.options]
        near = [v for v in values if score.num_options(goal, product, {name: v})]
        if exact or near:
            found[name] = (exact or near)[0]
    return found


def steps(goal: Goal, shop: Shop) -> int | None:
    """How many steps the expert takes; None if no search of it finds the product."""
    results = shop.search(_query(goal, shop))
    if goal.asin not in results:
        return None
    turns = results.index(goal.asin) // pages.PER_PAGE
    return 3 + turns + len(choices(goal, shop.products[goal.asin]))


def _query(goal: Goal, shop: Shop) -> str:
    words = " ".join([goal.query, *goal.attributes, *goal.options])
    if goal.asin in shop.search(words):
        return _plain(words)
    return _plain(goal.title)


def _plain(text: str) -> str:
    return " ".join(text.replace("[", " ").replace("]", " ").lower().split())
