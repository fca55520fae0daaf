"""The papers that are searched, their citations, and the queries of every panel.

Folder, the first that is there counts:

    AutoScholarQuery/train.jsonl · AutoScholarQuery_train.jsonl    panel train
    AutoScholarQuery/dev.jsonl   · AutoScholarQuery_dev.jsonl      panel dev
    AutoScholarQuery/test.jsonl  · AutoScholarQuery_test.jsonl     panel test
    RealScholarQuery/test.jsonl  · RealScholarQuery_test.jsonl     panel real
    papers.jsonl                                                 the database

**What it means to have no papers.jsonl.** Then the papers are those that some query of
the files has as an answer, known by title alone. The search is over a few thousand
titles, every one of which is right for some query, and nothing can be expanded, for no
citation is known. Recall is far easier than on the live web of the paper, precision
means little; such results are results on "the question files' own papers".
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import pathlib
from collections.abc import Iterator

from steppo_jax.errors import Refused
from steppo_jax.hosts import records, retrieval
from steppo_jax.hosts.paper_search_real import generated, queries
from steppo_jax.hosts.paper_search_real.queries import Paper, Query

FILES = {
    "train": ("AutoScholarQuery/train.jsonl", "AutoScholarQuery_train.jsonl"),
    "dev": ("AutoScholarQuery/dev.jsonl", "AutoScholarQuery_dev.jsonl"),
    "test": ("AutoScholarQuery/test.jsonl", "AutoScholarQuery_test.jsonl"),
    "real": ("RealScholarQuery/test.jsonl", "RealScholarQuery_test.jsonl"),
}
DATABASE = "papers.jsonl"
NUM_RESULTS = 10  # of a search
MOST_CITATIONS, MOST_REFERENCES = 30, 99  # of an expansion


@dataclasses.dataclass(frozen=True)
class Library:
    """Everything that episodes share."""

    queries: dict[str, list[Query]]  # by panel
    papers: dict[str, Paper]  # by arXiv id
    source: str  # where the papers are from: database | queries | generated

    @functools.cached_property
    def ids(self) -> list[str]:
        return list(self.papers)

    @functools.cached_property
    def _index(self) -> retrieval.Bm25:
        return retrieval.Bm25([_text(paper) for paper in self.papers.values()])

    @functools.cached_property
    def _cited_by(self) -> dict[str, list[str]]:
        found = collections.defaultdict(list)
        for paper in self.papers.values():
            for name in paper.references:
                found[name].append(paper.arxiv_id)
        return found

    @functools.cached_property
    def _idf(self) -> dict[str, float]:
        """By word, as in BM25: log(1 + (N − n + ½)/(n + ½))."""
        counts = collections.Counter()
        for paper in self.papers.values():
            counts.update(set(retrieval.words(_text(paper))))
        total = len(self.papers)
        return {w: math.log1p((total - n + 0.5) / (n + 0.5)) for w, n in counts.items()}

    def search(self, words: str, until: str) -> list[str]:
        """Ids of the NUM_RESULTS best papers, best first, none published after."""
        # Some are passed over for their date: ask for more until there are enough.
        wanted = NUM_RESULTS
        while True:
            found = self._index.search(words, wanted)
            papers = (self.papers[self.ids[i]] for i in found)
            good = [p.arxiv_id for p in papers if not until or p.published <= until]
            if len(good) >= NUM_RESULTS or len(found) < wanted:
                return good[:NUM_RESULTS]
            wanted *= 4

    def expand(self, name: str, until: str) -> list[str]:
        """Known papers that cite a paper, up to 30, then its references, up to 99."""
        paper = self.papers[name]
        citing = paper.citations or self._cited_by.get(name, ())
        near = [*citing[:MOST_CITATIONS], *paper.references[:MOST_REFERENCES]]
        return [
            other
            for other in dict.fromkeys(near)
            if other in self.papers
            and (not until or self.papers[other].published <= until)
        ]

    def overlap(self, question: str, name: str) -> float:
        """Share, in [0, 1], of the question's words that a paper's text has.

        Words weigh by their idf; those that no paper has are left out.
        """
        asked = set(retrieval.words(question)) & self._idf.keys()
        has = asked & set(retrieval.words(_text(self.papers[name])))
        total = math.fsum(self._idf[word] for word in asked)
        return math.fsum(self._idf[word] for word in has) / total if total else 0.0


def _text(paper: Paper) -> str:
    return f"{paper.title} {paper.abstract}"


@functools.lru_cache(maxsize=2)
def load(folder: pathlib.Path | None, seed: int) -> Library:
    """The library of a folder, or the generated one. Raises Refused."""
    if folder is None:
        sources, database = generated.files(seed)
        named = {panel: _named(panel, rows) for panel, rows in sources.items()}
        rows = _named("paper", database)
        return _library(named, rows, "generated")
    named = {
        panel: records.read(path)
        for panel, names in FILES.items()
        if (path := records.first(folder, *names)) is not None
    }
    path = records.first(folder, DATABASE)
    if path is None:
        return _library(named, None, "queries")
    return _library(named, records.read(path), "database")


def _named(
    what: str, rows: list[records.Record]
) -> Iterator[tuple[str, records.Record]]:
    for place, record in enumerate(rows):
        yield f"generated {what} {place}", record


def _library(sources, database, source: str) -> Library:
    asked: dict[str, list[Query]] = {}
    answers: dict[str, Paper] = {}
    for panel, rows in sources.items():
        asked[panel] = []
        for where, record in rows:
            query, known = queries.query(where, record)
            asked[panel].append(query)
            for paper in known:
                answers.setdefault(paper.arxiv_id, paper)
    if database is None:
        return Library(asked, answers, source)
    papers: dict[str, Paper] = {}
    for where, record in database:
        paper = queries.paper(where, record)
        if paper.arxiv_id in papers:
            raise Refused(f"{where}: {paper.arxiv_id} is in the file already")
        papers[paper.arxiv_id] = paper
    return Library(asked, papers, source)
