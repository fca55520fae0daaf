"""The questions of every panel, and the passages that each domain is searched in.

Folder of official files, the first that is there counts:

    hotpot_train_v1.1.jsonl, .json · hotpotqa_train.parquet               train
    hotpot_dev_distractor_v1.jsonl, .json · hotpotqa_validation.parquet   validation
    2wiki/dev.jsonl, .json, and 2wiki/id_aliases.jsonl                    2wiki
    musique/musique_ans_v1.0_dev.jsonl                                    musique
    corpus.jsonl, 2wiki/corpus.jsonl, musique/corpus.jsonl    {"title", "text"} a line
    embeddings.npy beside a corpus                            for the dense retriever
    bm25/ beside a corpus                                     a stored index, if any

A .json is read whole; .jsonl, as `experiments.prepare_data` writes it, line by line.
A domain without corpus.jsonl is searched in the passages that its question files bring,
in order of first appearance, each once. The paper has separate corpora for the three
domains too; HotpotQA's is the paragraphs of train and validation, as here.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import zlib
from collections.abc import Iterator

from steppo_jax.errors import Refused
from steppo_jax.hosts import records
from steppo_jax.hosts.hotpotqa import generated, questions
from steppo_jax.hosts.hotpotqa.questions import Passage, Question
from steppo_jax.hosts.retrieval import Bm25, Retriever, load_dense

FILES = {
    "train": (
        *("hotpot_train_v1.1.jsonl", "hotpot_train_v1.1.json"),
        "hotpotqa_train.parquet",
    ),
    "validation": (
        *("hotpot_dev_distractor_v1.jsonl", "hotpot_dev_distractor_v1.json"),
        "hotpotqa_validation.parquet",
    ),
    "2wiki": ("2wiki/dev.jsonl", "2wiki/dev.json"),
    "musique": ("musique/musique_ans_v1.0_dev.jsonl",),
}
DOMAIN = {"train": "", "validation": "", "2wiki": "2wiki", "musique": "musique"}
BM25 = "bm25"  # folder of a stored index beside a corpus
ALIASES = "2wiki/id_aliases.jsonl"


@dataclasses.dataclass(frozen=True)
class Domain:
    """Panels that are searched in the same passages."""

    questions: dict[str, list[Question]]  # by panel
    passages: list[Passage]
    folder: pathlib.Path | None  # None: generated

    @functools.cached_property
    def bm25(self) -> Bm25:
        if self.folder is not None and (self.folder / BM25).is_dir():
            return Bm25.load(self.folder / BM25, self.key, len(self.passages))
        return Bm25(self.texts())

    @property
    def key(self) -> str:
        """What an index of these passages is marked with."""
        check = 0
        for text in self.texts():
            check = zlib.crc32(text.encode(), check)
        return f"{len(self.passages)} passages, crc {check}"

    def texts(self) -> Iterator[str]:
        """What is searched, in order."""
        return (f"{p.title} {p.text}" for p in self.passages)

    def retriever(self, kind: str, encoder: str) -> Retriever:
        """`kind` bm25 or dense."""
        if kind == "bm25":
            return self.bm25
        if self.folder is None:
            raise Refused(
                "env.retriever=dense needs env.data, a folder with corpus.jsonl and "
                "embeddings.npy; use env.retriever=bm25 on the generated corpus"
            )
        vectors = records.needed(self.folder, "embeddings.npy")
        return load_dense(vectors, encoder, len(self.passages))


@functools.lru_cache(maxsize=6)
def load(folder: pathlib.Path | None, domain: str, seed: int) -> Domain:
    """A domain ("", "2wiki" or "musique") of a folder, or generated. Raises Refused."""
    if folder is None:
        sources = {panel: _generated(panel, seed) for panel in FILES}
    else:
        sources = {
            panel: records.read(path)
            for panel, names in FILES.items()
            if (path := records.first(folder, *names)) is not None
        }
    aliases = _aliases(folder) if domain == "2wiki" else {}
    asked: dict[str, list[Question]] = {}
    passages: dict[Passage, None] = {}  # a set that keeps the order
    for panel, source in sources.items():
        if DOMAIN[panel] != domain:
            continue
        asked[panel] = []
        for where, record in source:
            question, brought = questions.read(where, record)
            more = aliases.get(question.answer_id, ())
            answers = tuple(dict.fromkeys([*question.answers, *more]))
            asked[panel].append(dataclasses.replace(question, answers=answers))
            passages.update(dict.fromkeys(brought))
    own = None if folder is None else records.inside(folder, domain)
    corpus = None if own is None else records.first(own, "corpus.jsonl")
    if corpus is not None:
        read = records.read(corpus)
        passages = dict.fromkeys(questions.passage(where, r) for where, r in read)
    if asked and not passages:
        raise Refused(
            f"the question files of {own} bring no passages; add corpus.jsonl, lines "
            'of {"title": …, "text": …}, to search in'
        )
    return Domain(asked, list(passages), own)


@functools.lru_cache(maxsize=2)
def _files(seed: int):
    return generated.files(seed)


def _generated(panel: str, seed: int) -> Iterator[tuple[str, records.Record]]:
    for place, record in enumerate(_files(seed)[panel]):
        yield f"generated {panel} {place}", record


def _aliases(folder: pathlib.Path | None) -> dict[str, list[str]]:
    """Answers by 2WikiMultihopQA's answer_id, as its evaluation takes them."""
    path = None if folder is None else records.first(folder, ALIASES)
    found = {}
    for where, record in [] if path is None else records.read(path):
        names = records.texts(record, "aliases", where)
        names += records.texts(record, "demonyms", where)
        found[records.text(record, "Q_id", where)] = names
    return found
