"""The pages of the shop as text, and what can be clicked on them.

The order of a page's texts is that of the official text mode, joined by [SEP]. Pages:
search → results (ten a page) → item → description, features, reviews. Clicks are in
lower case. Departure: review files are not read, the page of reviews is empty.
"""

from __future__ import annotations

import dataclasses

from steppo_jax.hosts.webshop.catalogue import Goal, Product
from steppo_jax.hosts.webshop.shop import Shop

PER_PAGE = 10
SEP = " [SEP] "
BACK, PREV, NEXT, BUY = "back to search", "< prev", "next >", "buy now"
SUB_PAGES = ("description", "features", "reviews")
MOST_TEXT = 20_000  # characters of a description or of all features
MOST_OPTIONS = 1000  # values of a product that are shown


@dataclasses.dataclass
class Visit:
    """Where a shopper stands."""

    goal: Goal
    page: str = "search"  # search | results | item | one of SUB_PAGES | bought
    query: str = ""
    results: list[str] = dataclasses.field(default_factory=list)  # ASINs
    number: int = 1  # page of results
    asin: str = ""
    chosen: dict[str, str] = dataclasses.field(default_factory=dict)

    def product(self, shop: Shop) -> Product:
        return shop.products[self.asin]

    def shown(self) -> list[str]:
        """ASINs on this page of results."""
        return self.results[(self.number - 1) * PER_PAGE : self.number * PER_PAGE]


def clickable(visit: Visit, shop: Shop) -> dict[str, tuple[str, str]]:
    """What can be clicked: its text → (kind, what it stands for)."""
    if visit.page in ("search", "bought"):
        return {}
    found = {BACK: ("button", BACK)}
    if visit.page == "results":
        if visit.number > 1:
            found[PREV] = ("button", PREV)
        if visit.number * PER_PAGE < len(visit.results):
            found[NEXT] = ("button", NEXT)
        return found | {asin.lower(): ("asin", asin) for asin in visit.shown()}
    found[PREV] = ("button", PREV)
    if visit.page == "item":
        found |= {name: ("sub page", name) for name in SUB_PAGES}
        found[BUY] = ("button", BUY)
        for name, value in options(visit.product(shop)):
            found[value] = ("option", name)  # of equal texts the last one counts
    return found


def options(product: Product) -> list[tuple[str, str]]:
    """(option, value) of what can be chosen, in order."""
    pairs = [(name, v) for name, values in product.options.items() for v in values]
    return pairs[:MOST_OPTIONS]


def search(visit: Visit, query: str, shop: Shop) -> None:
    """Searches, from whatever page, as the official text environment allows."""
    visit.query, visit.results = query, shop.search(query)
    visit.page, visit.number = "results", 1
    visit.asin, visit.chosen = "", {}


def click(visit: Visit, text: str, shop: Shop) -> bool:
    """Clicks; False, and nothing happens, where there is no such text."""
    kind, what = clickable(visit, shop).get(text, ("", ""))
    if kind == "asin":
        visit.page, visit.asin, visit.chosen = "item", what, {}
    elif kind == "option":
        visit.chosen[what] = text
    elif kind == "sub page":
        visit.page = what
    elif what == BACK:
        visit.page, visit.query, visit.results, visit.number = "search", "", [], 1
        visit.asin, visit.chosen = "", {}
    elif what == NEXT:
        visit.number += 1
    elif what == PREV:
        if visit.page == "results":
            visit.number -= 1
        else:
            visit.page = "results" if visit.page == "item" else "item"
    elif what == BUY:
        visit.page = "bought"
    return bool(kind)


def describe(visit: Visit, shop: Shop) -> str:
    """The page's text, without the instruction that stands on every page."""
    if visit.page == "search":
        return "Search"
    if visit.page == "bought":
        return "Thank you for shopping with us!"
    if visit.page == "results":
        total = len(visit.results)
        parts = ["Back to Search", f"Page {visit.number} (Total results: {total})"]
        there = clickable(visit, shop)
        parts += [name for name in ("< Prev", "Next >") if name.lower() in there]
        for asin in visit.shown():
            product = shop.products[asin]
            parts += [asin, product.title, product.price_tag]
        return SEP.join(parts)
    product = visit.product(shop)
    parts = ["Back to Search", "< Prev"]
    if visit.page == "description":
        parts.append(product.description[:MOST_TEXT])
    elif visit.page == "features":
        parts += "\n".join(product.bullets)[:MOST_TEXT].split("\n")
    elif visit.page == "item":
        last = ""
        for name, value in options(product):
            parts += [name, value] if name != last else [value]
            last = name
        parts += [product.title, f"Price: {product.price_tag}", "Rating: N.A."]
        parts += ["Description", "Features", "Reviews", "Buy Now"]
        if visit.chosen:
            parts.append("Chosen: " + ", ".join(visit.chosen.values()))
    return SEP.join(parts)
