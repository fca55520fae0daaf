"""Products and goals, read from records in the form of the official files.

`items_shuffle*.json`: a list of products as they were scraped. `items_ins_v2*.json`:
{asin: {"attributes": […]}}. `items_human_ins.json`: {asin: [{"instruction",
"instruction_attributes", "instruction_options"}]}. Form and cleaning follow
web_agent_site/engine/{engine,goal}.py of github.com/princeton-nlp/WebShop.

Departure: the official code draws the price of a price range, and how much a goal may
cost, from an unseeded generator at every start; here both are drawn from the product's
name, so that a goal is the same in every run.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from steppo_jax.errors import Refused
from steppo_jax.hosts import drawing, records

NO_LIMIT = 1_000_000.0  # the official "any price"
LIMITS = [10.0 * i for i in range(1, 100)]
_PRICE = re.compile(r"\$\s*([\d,]+(?:\.\d+)?)")
_ASIN = re.compile(r"[A-Z0-9]{1,10}")


@dataclasses.dataclass(frozen=True)
class Product:
    """What can be bought. Texts are as scraped, options lower-case."""

    asin: str
    title: str
    query: str  # the search that found it when the shop was scraped
    product_category: str  # "a › b › c"
    description: str
    bullets: tuple[str, ...]  # the "features" page
    attributes: tuple[str, ...]
    price: float  # dollars
    price_tag: str
    options: Mapping[str, tuple[str, ...]]  # "color" → its values

    @property
    def document(self) -> str:
        """What the search knows of it, as in convert_product_file_format.py."""
        options = [f"{name}: {', '.join(v)}" for name, v in self.options.items()]
        parts = (self.title, self.description, *self.bullets[:1])
        return " ".join([*parts, ", and ".join(options)]).lower()


@dataclasses.dataclass(frozen=True)
class Goal:
    """What somebody wants."""

    asin: str  # a product that has it all
    query: str
    title: str
    product_category: str
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]  # wanted values
    price_upper: float  # dollars


def products(
    items: Iterable[tuple[str, records.Record]], attributes: Mapping[str, Any]
) -> dict[str, Product]:
    """Products by ASIN, in the order of the file; as officially, one whose ASIN is
    "nan", too long or a repetition is passed over. Raises Refused."""
    found: dict[str, Product] = {}
    for where, item in items:
        asin = item.get("asin")
        if not isinstance(asin, str):
            raise Refused(f"{where}: 'asin' must be a text, not {asin!r:.60}")
        if asin != "nan" and asin not in found and _ASIN.fullmatch(asin):
            found[asin] = _product(asin, where, item, attributes)
    if not found:
        raise Refused(
            "the catalogue has no product with an ASIN; give the official one"
        )
    return found


def _product(
    asin: str, where: str, item: records.Record, attributes: Mapping[str, Any]
) -> Product:
    bullets = item.get("small_description") or []
    if isinstance(bullets, str):
        item = item | {"small_description": [bullets]}
    known = attributes.get(asin) or {}
    if not isinstance(known, dict):
        raise Refused(f"attributes of {asin}: need an object, not {known!r:.60}")
    price, tag = _price(asin, where, item.get("pricing"))
    return Product(
        asin=asin,
        title=records.text(item, "name", where),
        query=str(item.get("query") or "").lower().strip(),
        product_category=str(item.get("product_category") or ""),
        description=str(item.get("full_description") or ""),
        bullets=tuple(records.texts(item, "small_description", where)),
        attributes=tuple(records.texts(known, "attributes", f"attributes of {asin}")),
        price=price,
        price_tag=tag,
        options=_options(where, item.get("customization_options") or {}),
    )


def _price(asin: str, where: str, pricing: Any) -> tuple[float, str]:
    """(price, what the page shows): "$3.50" or the range "$3.50 to $7.00"."""
    if not pricing:
        return 100.0, "$100.0"  # as officially
    found = _PRICE.findall(pricing) if isinstance(pricing, str) else []
    if not found:
        raise Refused(f"{where}: 'pricing' must hold a $ price, not {pricing!r:.60}")
    low, *rest = (float(digits.replace(",", "")) for digits in found)
    if not rest:
        return low, f"${low}"
    share = drawing.fraction("webshop price", asin)
    return low + share * (rest[0] - low), f"${low} to ${rest[0]}"


def _options(where: str, given: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict):
        raise Refused(f"{where}: 'customization_options' must be an object")
    options = {}
    for name, contents in given.items():
        if contents is None:
            continue
        try:
            values = [content["value"] for content in contents]
            cleaned = (value.strip().replace("/", " | ").lower() for value in values)
            options[name.lower()] = tuple(cleaned)
        except (TypeError, KeyError, AttributeError):
            raise Refused(
                f"{where}: option {name!r} must be a list of objects with a 'value'"
            ) from None
    return options


def human_goals(
    products: Mapping[str, Product], instructions: Mapping[str, Any]
) -> list[Goal]:
    """The goals that people wrote, in the order of the products.

    As officially, those without attributes are left out. Raises Refused.
    """
    goals = []
    for asin, product in products.items():
        given = instructions.get(asin) or []
        if not isinstance(given, list):
            raise Refused(f"instructions of {asin}: need a list, not {given!r:.60}")
        for place, record in enumerate(given):
            where = f"instruction {place} of {asin}"
            if not isinstance(record, dict):
                raise Refused(f"{where}: needs an object, not {record!r:.60}")
            attributes = records.texts(record, "instruction_attributes", where)
            if not attributes:
                continue
            upper, says = limit(product, place)
            goals.append(
                Goal(
                    asin=asin,
                    query=product.query,
                    title=product.title,
                    product_category=product.product_category,
                    instruction=records.text(record, "instruction", where).strip(".")
                    + says,
                    attributes=tuple(attributes),
                    options=tuple(records.texts(record, "instruction_options", where)),
                    price_upper=upper,
                )
            )
    return goals


def limit(product: Product, place: int) -> tuple[float, str]:
    """(the most that a goal may cost, its words): the larger of two of the next four
    multiples of $10 above the price."""
    above = [p for p in LIMITS if p > product.price][:4]
    if len(above) < 2:
        return NO_LIMIT, ""
    upper = max(drawing.some(above, 2, "webshop limit", product.asin, place))
    return upper, f", and price lower than {upper:.2f} dollars"
