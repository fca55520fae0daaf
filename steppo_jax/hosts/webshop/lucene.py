"""The official search of WebShop, where its index and Pyserini (with Java) are there.

`indexes_1k` for the 1,000-product form and `indexes` for the whole catalogue, as
search_engine/run_indexing.sh of the official repository makes them; a document's id is
its ASIN. Pyserini is no package of the extra `data`: it needs Java 21 and PyTorch.
"""

from __future__ import annotations

import pathlib
from collections.abc import Container

from steppo_jax.errors import Refused
from steppo_jax.hosts import records, retrieval

FOLDERS = {"items_shuffle.json": "indexes", "items_shuffle_1000.json": "indexes_1k"}


def folder_of(folder: pathlib.Path, items: pathlib.Path | None) -> pathlib.Path:
    """The index that belongs to a catalogue file, without one that of the whole
    catalogue. Raises Refused if it is not there."""
    name = "indexes" if items is None else FOLDERS[items.name]
    index = records.inside(folder, name)
    if not index.is_dir():
        raise Refused(
            f"{folder} has no {name}, the Lucene index of its catalogue; make it with "
            "the official run_indexing.sh, or use env.retriever=bm25"
        )
    return index


class Lucene:
    """Products by Pyserini's BM25 with its own defaults, as officially."""

    def __init__(self, folder: pathlib.Path, known: Container[str]):
        records.need_package("pyserini", "env.retriever=lucene")
        from pyserini.search.lucene import LuceneSearcher

        self._searcher, self._known = LuceneSearcher(str(folder)), known

    def search(self, query: str, k: int) -> list[str]:
        """ASINs, best first, without those that the catalogue lacks, as officially."""
        hits = self._searcher.search(query[: retrieval.QUERY_CHARACTERS], k=k)
        return [hit.docid for hit in hits if hit.docid in self._known]
