"""The shop of a worker process: products, their search, and the goals of each panel.

Folder of official files: items_shuffle[_1000].json, items_ins_v2[_1000].json, and
goals as items_human_ins.json or as webshop_train.parquet and webshop_test.parquet (rows
with a `reward_model.ground_truth` that holds asin, attributes, goal_options,
instruction and price_upper); for env.retriever=lucene the index too (`lucene`).
Where products.jsonl is there, made by `experiments.prepare_data --index`, it stands for
the first two (`store`).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import random
from collections.abc import Mapping

from steppo_jax.errors import Refused
from steppo_jax.hosts import records
from steppo_jax.hosts.retrieval import Bm25
from steppo_jax.hosts.webshop import catalogue, generated, lucene, store
from steppo_jax.hosts.webshop.catalogue import Goal, Product
from steppo_jax.hosts.webshop.lucene import Lucene

ITEMS = ("items_shuffle.json", "items_shuffle_1000.json")
ATTRIBUTES = ("items_ins_v2.json", "items_ins_v2_1000.json")
HUMAN = "items_human_ins.json"
TABLES = {panel: f"webshop_{panel}.parquet" for panel in ("train", "test")}
NUM_TEST = 500  # goals; the first ones after the official shuffle
SHUFFLE_SEED = 233  # the official one
MOST_RESULTS = 50
BM25 = "bm25"  # folder of the index beside products.jsonl


@dataclasses.dataclass(frozen=True)
class Shop:
    """Everything that episodes share."""

    products: Mapping[str, Product]
    goals: Mapping[str, list[Goal]]  # by panel
    index: pathlib.Path | None = None  # of Lucene; None is searched by our BM25

    @functools.cached_property
    def _lucene(self) -> Lucene:
        return Lucene(self.index, self.products)

    @functools.cached_property
    def _bm25(self) -> Bm25:
        if isinstance(self.products, store.Stored):
            folder = self.products.path.parent / BM25
            return Bm25.load(folder, self.products.key, len(self.products))
        return Bm25(product.document for product in self.products.values())

    @functools.cached_property
    def _asins(self) -> list[str]:
        return list(self.products)

    def search(self, query: str) -> list[str]:
        """ASINs of the MOST_RESULTS best products for a query, best first."""
        if self.index is not None:
            return self._lucene.search(query, MOST_RESULTS)
        return [self._asins[i] for i in self._bm25.search(query, MOST_RESULTS)]


@functools.lru_cache(maxsize=2)
def load(folder: pathlib.Path | None, seed: int, retriever: str) -> Shop:
    """The shop of a folder, or the generated one (seeded). Raises Refused.

    `retriever` is bm25, or lucene for a folder with the official index.
    """
    if folder is None:
        return _generated(seed)
    if records.first(folder, store.LINES) is not None:
        products = store.Stored(folder)
    else:
        products = whole(folder)
    tables = {panel: records.first(folder, name) for panel, name in TABLES.items()}
    if all(tables.values()):
        goals = {panel: _table(path, products) for panel, path in tables.items()}
    else:
        human = records.needed(folder, HUMAN, *TABLES.values())
        if human.name != HUMAN:
            raise Refused(f"{folder} has {human.name} without the other panel's file")
        goals = official_split(
            catalogue.human_goals(products, records.json_object(human))
        )
    items = records.first(folder, *ITEMS)
    index = lucene.folder_of(folder, items) if retriever == "lucene" else None
    return Shop(products, goals, index)


def whole(folder: pathlib.Path) -> dict[str, Product]:
    """The catalogue of a folder in memory. Raises Refused."""
    items = records.needed(folder, *ITEMS)
    extra = records.needed(folder, ATTRIBUTES[ITEMS.index(items.name)])
    return catalogue.products(records.read(items), records.json_object(extra))


def official_split(goals: list[Goal]) -> dict[str, list[Goal]]:
    """Panels of human goals: shuffled with seed 233, the first 500 are the test."""
    mixed = list(goals)
    random.Random(SHUFFLE_SEED).shuffle(mixed)
    return {"train": mixed[NUM_TEST:], "test": mixed[:NUM_TEST]}


def _generated(seed: int) -> Shop:
    items, attributes, instructions = generated.files(seed)
    named = ((f"generated product {i}", item) for i, item in enumerate(items))
    products = catalogue.products(named, attributes)
    held_out = {i["asin"] for i in items if i["category"] == generated.MARK}
    goals = catalogue.human_goals(products, instructions)
    panels = {"train": [g for g in goals if g.asin not in held_out]}
    panels["test"] = [g for g in goals if g.asin in held_out]
    return Shop(products, panels)


def _table(path: pathlib.Path, products: Mapping[str, Product]) -> list[Goal]:
    """Goals of a parquet table whose products the catalogue has."""
    goals = [goal_of_row(where, row, products) for where, row in records.read(path)]
    found = [goal for goal in goals if goal is not None]
    if not found:
        raise Refused(f"{path}: no goal wants a product of the catalogue beside it")
    return found


def goal_of_row(
    where: str, row: records.Record, products: Mapping[str, Product]
) -> Goal | None:
    """The goal of a row; None if its product is not in the catalogue."""
    model = row.get("reward_model")
    truth = model.get("ground_truth") if isinstance(model, dict) else None
    if not isinstance(truth, dict):
        raise Refused(f"{where}: 'reward_model.ground_truth' must be an object")
    product = products.get(records.text(truth, "asin", where))
    options = truth.get("goal_options") or []
    upper = truth.get("price_upper")
    number = isinstance(upper, int | float) and not isinstance(upper, bool)
    if not number or math.isnan(upper):
        raise Refused(f"{where}: 'price_upper' must be a number, not {upper!r:.60}")
    if not isinstance(options, list) or not all(
        isinstance(o, dict) and isinstance(o.get("value"), str) for o in options
    ):
        raise Refused(f"{where}: 'goal_options' must be objects with a 'value'")
    if product is None:
        return None
    return Goal(
        asin=product.asin,
        query=product.query,
        title=product.title,
        product_category=product.product_category,
        instruction=records.text(truth, "instruction", where),
        attributes=tuple(records.texts(truth, "attributes", where)),
        options=tuple(option["value"].lower() for option in options),
        price_upper=float(upper),
    )
