"""HotpotQA with search, and 2WikiMultihopQA and MuSiQue as out-of-domain panels.

As in the code of StepPO: the question is searched before the first step; up to 4
searches a step, 5 passages each of at most 1,200 characters; at most 5 steps; the first
response without a search ends the episode and pays 1 for an exact match, everything
else pays 0. Metrics: `success` (exact match), `f1`, `answered`.

Departures: BM25 unless a dense index is given (the paper: BGE-large-en-v1.5 and FAISS);
calls are read as JSON only, never as Python literals; where all passages are longer
than `block_characters`, those found first are left out (the official code cuts the end
off); without the official files the family plays a generated corpus (`title` says so).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from steppo_jax.errors import Refused
from steppo_jax.hosts import records, retrieval
from steppo_jax.hosts.hotpotqa import library
from steppo_jax.hosts.hotpotqa.environment import HotpotText, rules
from steppo_jax.hosts.on_files import OnFiles

VARIABLE = "HOTPOTQA_DATA"
RETRIEVERS = ("bm25", "dense")


@dataclasses.dataclass(frozen=True)
class HotpotQA(OnFiles):
    """The family; see `hosts.base.HostFamily`."""

    name: ClassVar[str] = "hotpotqa"
    panels: ClassVar[tuple[str, ...]] = tuple(library.FILES)
    variable: ClassVar[str] = VARIABLE
    rules: ClassVar = staticmethod(rules)

    max_steps: int = 5
    retriever: str = "bm25"  # or dense
    encoder: str = ""  # dense: folder of the sentence-transformers model for queries
    top: int = 5  # passages of a search
    passage_characters: int = 1200
    block_characters: int = 12_000  # all passages of an observation

    @property
    def title(self) -> str:
        """What results are results on."""
        return "HotpotQA" if self.folder else "HotpotQA (generated corpus)"

    def check(self) -> None:
        if self.retriever not in RETRIEVERS:
            known = ", ".join(RETRIEVERS)
            raise Refused(f"env.retriever={self.retriever!r} is not one of {known}")
        for name in ("top", "passage_characters", "block_characters"):
            if getattr(self, name) < 1:
                raise Refused(
                    f"env.{name}={getattr(self, name)}: needs to be 1 or more"
                )
        folder = self.folder
        if self.retriever == "bm25":
            if self.encoder:
                raise Refused("env.encoder is for env.retriever=dense; leave it empty")
            records.need_package("bm25s", "env.retriever=bm25")
        elif folder is not None:
            retrieval.check_dense(str(folder / "embeddings.npy"), self.encoder)
        else:
            library.Domain({}, [], None).retriever("dense", self.encoder)  # refuses
        if folder is not None:
            paths = [records.first(folder, *names) for names in library.FILES.values()]
            if not any(paths):
                records.needed(folder, *sum(library.FILES.values(), ()))
            if any(path and path.suffix == ".parquet" for path in paths):
                records.need_package("pyarrow", f"parquet files in {folder}")

    def size(self, panel: str) -> int:
        return len(self._domain(panel)[0].questions[panel])

    def golden_steps(self, panel: str, task: int) -> int | None:
        """Steps of the expert: a search for each needed passage that is not found on
        the way, and the answer; None where the file does not say what is needed."""
        domain, retriever = self._domain(panel)
        question = domain.questions[panel][task]
        if not question.titles:
            return None
        titles = [passage.title for passage in domain.passages]
        steps, seen, queries = 1, set(), [question.question]
        while queries:
            found = retriever.search(queries.pop(), self.top)
            seen |= {titles[i] for i in found}
            missing = [title for title in question.titles if title not in seen]
            if missing:
                seen.add(missing[0])  # asked for once, found or not
                queries, steps = [missing[0]], steps + 1
        return steps if steps <= self.max_steps else None

    def make(self) -> HotpotText:
        return HotpotText(self, self._domain)

    def _domain(self, panel: str):
        """(domain, retriever) of a panel. Raises Refused where its file is missing."""
        if panel not in self.panels:
            known = ", ".join(self.panels)
            raise Refused(f"hotpotqa has no panel {panel!r}; it has {known}")
        folder = self.folder
        domain = library.load(folder, library.DOMAIN[panel], self.seed)
        if panel not in domain.questions:
            records.needed(folder, *library.FILES[panel])
        return domain, domain.retriever(self.retriever, self.encoder)
