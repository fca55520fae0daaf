"""Paper search over AutoScholarQuery and RealScholarQuery (PaSa, arXiv 2501.10120).

As in the code of StepPO: searches give 10 papers, expansions up to 30 citations and 99
references; up to 5 calls a step, at most 5 steps; a call is paid the relevance of its
three best newly kept papers, −0.5 for a search said before and for expanding what is
not listed or was expanded; a response without a call ends the episode and pays 0.
Metrics: recall, precision and F1 of all that was kept, and recall of the best 25, 50
and 100; `success` is a recall of 0.8, which is ours.

Departures: BM25 over a file of papers in place of a live search engine (`library` says
what it means to have no such file); no language model judges relevance (`pool`); calls
are read as JSON only; a call that cannot be read is complained about. Without the
official files the family plays a generated literature (`title` says so).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from steppo_jax.errors import Refused
from steppo_jax.hosts import records
from steppo_jax.hosts.on_files import OnFiles
from steppo_jax.hosts.paper_search_real import library
from steppo_jax.hosts.paper_search_real.environment import PaperText, rules

VARIABLE = "PAPER_SEARCH_DATA"
RELEVANCE = ("answers", "overlap")
TITLES = {
    "database": "paper search (own database)",
    "queries": "paper search (the question files' own papers)",
    "generated": "paper search (generated literature)",
}


@dataclasses.dataclass(frozen=True)
class PaperSearchReal(OnFiles):
    """The family; see `hosts.base.HostFamily`."""

    name: ClassVar[str] = "paper_search_real"
    panels: ClassVar[tuple[str, ...]] = tuple(library.FILES)
    variable: ClassVar[str] = VARIABLE
    rules: ClassVar = staticmethod(rules)

    max_steps: int = 5
    relevance: str = "answers"  # what calls are paid by; or overlap
    abstract_words: int = 400  # of a listed paper

    @property
    def title(self) -> str:
        """What results are results on."""
        folder = self.folder
        if folder is None:
            return TITLES["generated"]
        has = records.first(folder, library.DATABASE) is not None
        return TITLES["database" if has else "queries"]

    def check(self) -> None:
        if self.relevance not in RELEVANCE:
            known = ", ".join(RELEVANCE)
            raise Refused(f"env.relevance={self.relevance!r} is not one of {known}")
        if self.abstract_words < 0:
            raise Refused(
                f"env.abstract_words={self.abstract_words}: needs to be 0 or more"
            )
        records.need_package("bm25s", "env.name=paper_search_real")
        folder = self.folder
        if folder is not None:
            names = sum(library.FILES.values(), ())
            records.needed(folder, *names)

    def size(self, panel: str) -> int:
        return len(self._library(panel).queries[panel])

    def golden_steps(self, panel: str, task: int) -> int | None:
        """Steps until the expert has found what can be found; None if that is not
        enough, or takes more steps than there are."""
        env = self.make()
        _, info = env.reset(options={"panel": panel, "task": task})
        for step in range(1, self.max_steps + 1):
            _, _, ended, _, info = env.step(info["expert"])
            if ended:
                return None
            if info["outcome"]["success"]:
                return step
        return None

    def make(self) -> PaperText:
        return PaperText(self, library.load(self.folder, self.seed))

    def _library(self, panel: str) -> library.Library:
        """Raises Refused where the panel's file is missing."""
        if panel not in self.panels:
            known = ", ".join(self.panels)
            raise Refused(f"paper_search_real has no panel {panel!r}; it has {known}")
        folder = self.folder
        loaded = library.load(folder, self.seed)
        if panel not in loaded.queries:
            records.needed(folder, *library.FILES[panel])
        return loaded
