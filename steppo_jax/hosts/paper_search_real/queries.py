"""Queries and papers, read from the files of PaSa (arXiv 2501.10120).

AutoScholarQuery and RealScholarQuery, a line each: `question`, `answer` (titles),
`answer_arxiv_id`, `source_meta.published_time` (yyyymmdd). A database of papers is a
file of our own form, a line each: `arxiv_id`, `title`, and where known `abstract`,
`references` and `citations` (arXiv ids), `published` (yyyymmdd).
"""

from __future__ import annotations

import dataclasses
import re

from steppo_jax.errors import Refused
from steppo_jax.hosts import records
from steppo_jax.hosts.records import Record

MOST_TITLE, MOST_ABSTRACT = 1000, 20_000  # characters; what is longer is cut
_VERSION = re.compile(r"v\d+$")
_DATE = re.compile(r"\d{8}")
_ID = re.compile(r"[\w.\-/]{1,40}")


@dataclasses.dataclass(frozen=True)
class Query:
    question: str
    answers: tuple[str, ...]  # arXiv ids, without versions
    published: str  # yyyymmdd; papers after it are not found. "" where not given


@dataclasses.dataclass(frozen=True)
class Paper:
    arxiv_id: str
    title: str
    abstract: str = ""
    references: tuple[str, ...] = ()  # arXiv ids
    citations: tuple[str, ...] = ()
    published: str = ""


def arxiv_id(value: str, where: str) -> str:
    """An arXiv id without its version. Raises Refused for what cannot be one."""
    if not _ID.fullmatch(value.strip()):
        raise Refused(f"{where}: {value!r:.60} is no arXiv id")
    return _VERSION.sub("", value.strip())


def query(where: str, record: Record) -> tuple[Query, list[Paper]]:
    """A query, and its answers as papers of which the titles are known."""
    question = " ".join(records.text(record, "question", where).split())
    titles = records.texts(record, "answer", where)
    ids = records.texts(record, "answer_arxiv_id", where)
    if not ids or len(titles) != len(ids):
        raise Refused(
            f"{where}: {len(titles)} titles in 'answer' for {len(ids)} ids in "
            "'answer_arxiv_id'; needs one for each, and one at least"
        )
    known = [
        Paper(arxiv_id(name, where), " ".join(title.split())[:MOST_TITLE])
        for name, title in zip(ids, titles)
    ]
    meta = record.get("source_meta")
    published = meta.get("published_time") if isinstance(meta, dict) else None
    answers = tuple(dict.fromkeys(paper.arxiv_id for paper in known))
    return Query(question, answers, _date(published, where)), known


def paper(where: str, record: Record) -> Paper:
    """A line of papers.jsonl."""

    def ids(name: str) -> tuple[str, ...]:
        return tuple(arxiv_id(v, where) for v in records.texts(record, name, where))

    return Paper(
        arxiv_id=arxiv_id(records.text(record, "arxiv_id", where), where),
        title=" ".join(records.text(record, "title", where).split())[:MOST_TITLE],
        abstract=" ".join(str(record.get("abstract") or "").split())[:MOST_ABSTRACT],
        references=ids("references"),
        citations=ids("citations"),
        published=_date(record.get("published"), where),
    )


def _date(value: object, where: str) -> str:
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise Refused(f"{where}: {value!r:.60} is no date yyyymmdd")
    return value
