"""WebShop (arXiv 2207.01206) as text: search, open, choose, buy.

As in the code of StepPO: at most 15 steps; buying ends the episode and pays 10 for a
full score, else 0; −0.1 for a response without exactly one well-formed call; a click
that is not there, or a command that is none, costs nothing and does nothing. Metrics:
`score` (in [0, 1], 0 if nothing was bought) and `success` (a full score).

Departures: BM25 without stemming in place of Pyserini (`hosts.retrieval`) unless
`retriever` is lucene, those of the
score (`score`) and of prices (`catalogue`); the shop runs in the worker instead of
behind HTTP; history and pages are ours in wording. Without the official files the
family plays a generated catalogue (`title` says so).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from steppo_jax.errors import Refused
from steppo_jax.hosts import records, retrieval
from steppo_jax.hosts.on_files import OnFiles
from steppo_jax.hosts.webshop import expert, lucene, shop, store
from steppo_jax.hosts.webshop.environment import WebShopText, rules

VARIABLE = "WEBSHOP_DATA"
RETRIEVERS = ("bm25", "lucene")


@dataclasses.dataclass(frozen=True)
class WebShop(OnFiles):
    """The family; see `hosts.base.HostFamily`."""

    name: ClassVar[str] = "webshop"
    panels: ClassVar[tuple[str, ...]] = ("train", "test")
    variable: ClassVar[str] = VARIABLE
    rules: ClassVar = staticmethod(rules)

    max_steps: int = 15
    retriever: str = "bm25"  # or lucene: the official index, with Pyserini
    history: int = 2  # earlier (page, action) pairs in the observation

    @property
    def title(self) -> str:
        """What results are results on."""
        return "WebShop" if self.folder else "WebShop (generated catalogue)"

    def check(self) -> None:
        folder = self.folder
        for name in ("seed", "history"):
            if getattr(self, name) < 0:
                raise Refused(
                    f"env.{name}={getattr(self, name)}: needs to be 0 or more"
                )
        if self.retriever not in RETRIEVERS:
            known = ", ".join(RETRIEVERS)
            raise Refused(f"env.retriever={self.retriever!r} is not one of {known}")
        search = "bm25s" if self.retriever == "bm25" else "pyserini"
        records.need_package(search, f"env.retriever={self.retriever}")
        records.need_package("rapidfuzz", "env.name=webshop")
        if folder is None and self.retriever == "lucene":
            raise Refused(
                "env.retriever=lucene needs env.data, a folder with the official "
                "index; use env.retriever=bm25 on the generated catalogue"
            )
        if folder is not None:
            items = records.first(folder, *shop.ITEMS)
            if records.first(folder, store.LINES) is None:
                items = records.needed(folder, *shop.ITEMS)
                records.needed(folder, shop.ATTRIBUTES[shop.ITEMS.index(items.name)])
            elif self.retriever == "bm25":
                records.needed(folder, f"{shop.BM25}/{retrieval.KEY}")
            if self.retriever == "lucene":
                lucene.folder_of(folder, items)
            goals = records.needed(folder, shop.HUMAN, *shop.TABLES.values())
            if goals.suffix == ".parquet":
                records.need_package("pyarrow", str(goals))

    def size(self, panel: str) -> int:
        return len(self._goals(panel))

    def golden_steps(self, panel: str, task: int) -> int | None:
        return expert.steps(self._goals(panel)[task], self._shop())

    def make(self) -> WebShopText:
        return WebShopText(self._shop(), self.max_steps, self.tool_form, self.history)

    def _shop(self) -> shop.Shop:
        return shop.load(self.folder, self.seed, self.retriever)

    def _goals(self, panel: str):
        if panel not in self.panels:
            known = ", ".join(self.panels)
            raise Refused(f"webshop has no panel {panel!r}; it has {known}")
        return self._shop().goals[panel]
