"""Questions and passages, read from the forms of three benchmarks.

HotpotQA (arXiv 1809.09600) and 2WikiMultihopQA (2011.01060): `context` is a list of
[title, sentences], `supporting_facts` one of [title, sentence]; as parquet from the
HuggingFace hub both are columns of lists. MuSiQue (2108.00573): `paragraphs` with
`is_supporting`, `answer_aliases`. Rows that hold question and answer alone (`prompt`,
`reward_model`) are read too; their passages must come from a corpus file.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from steppo_jax.errors import Refused
from steppo_jax.hosts import records
from steppo_jax.hosts.records import Record

MOST_CHARACTERS = 50_000  # of a passage; what is longer is cut


@dataclasses.dataclass(frozen=True)
class Passage:
    title: str
    text: str


@dataclasses.dataclass(frozen=True)
class Question:
    """A question; `titles` are those of the passages that answer it, in order of use
    where the file has one, or empty where it does not say."""

    question: str
    answers: tuple[str, ...]
    titles: tuple[str, ...]
    answer_id: str = ""  # of 2WikiMultihopQA's table of aliases


def read(where: str, record: Record) -> tuple[Question, list[Passage]]:
    """A question and the passages that its record brings. Raises Refused."""
    if "reward_model" in record:
        return _bare(where, record), []
    if "paragraphs" in record:
        passages, titles = _paragraphs(where, record["paragraphs"])
    else:
        passages = _context(where, record.get("context"))
        titles = _supporting(where, record.get("supporting_facts"))
    answers = [records.text(record, "answer", where)]
    answers += records.texts(record, "answer_aliases", where)
    return (
        Question(
            question=records.text(record, "question", where),
            answers=tuple(dict.fromkeys(answers)),
            titles=tuple(dict.fromkeys(titles)),
            answer_id=str(record.get("answer_id") or ""),
        ),
        passages,
    )


def passage(where: str, record: Record) -> Passage:
    """A line of a corpus file: {"title", "text"}."""
    text = records.text(record, "text", where)[:MOST_CHARACTERS]
    return Passage(records.text(record, "title", where), text)


def _bare(where: str, record: Record) -> Question:
    try:
        question = record["prompt"][-1]["content"]
        answer = record["reward_model"]["ground_truth"]
    except (TypeError, KeyError, IndexError):
        question = answer = None
    if not isinstance(question, str) or not isinstance(answer, str):
        raise Refused(
            f"{where}: needs texts as prompt[-1].content and reward_model.ground_truth"
        )
    return Question(question, (answer,), ())


def _pairs(value: Any, names: tuple[str, str]) -> list[tuple[Any, Any]] | None:
    """A list of pairs, also from an object of two lists; None if it is neither."""
    if isinstance(value, dict):
        first, second = value.get(names[0]), value.get(names[1])
        if isinstance(first, list) and isinstance(second, list):
            return list(zip(first, second)) if len(first) == len(second) else None
        return None
    if isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 for pair in value
    ):
        return [tuple(pair) for pair in value]
    return None


def _context(where: str, value: Any) -> list[Passage]:
    pairs = _pairs(value, ("title", "sentences"))
    good = pairs is not None and all(
        isinstance(title, str)
        and isinstance(sentences, list)
        and all(isinstance(sentence, str) for sentence in sentences)
        for title, sentences in pairs
    )
    if not good:
        raise Refused(f"{where}: 'context' must be a list of [title, [sentence, …]]")
    joined = ((title, "".join(sentences).strip()) for title, sentences in pairs)
    return [Passage(title, text[:MOST_CHARACTERS]) for title, text in joined if text]


def _supporting(where: str, value: Any) -> list[str]:
    pairs = _pairs(value, ("title", "sent_id"))
    if pairs is None or not all(isinstance(title, str) for title, _ in pairs):
        raise Refused(f"{where}: 'supporting_facts' must be a list of [title, number]")
    return [title for title, _ in pairs]


def _paragraphs(where: str, value: Any) -> tuple[list[Passage], list[str]]:
    if not isinstance(value, list) or not all(isinstance(p, dict) for p in value):
        raise Refused(f"{where}: 'paragraphs' must be a list of objects")
    passages, titles = [], []
    for place, paragraph in enumerate(value):
        here = f"{where} paragraph {place}"
        title = records.text(paragraph, "title", here)
        text = records.text(paragraph, "paragraph_text", here)[:MOST_CHARACTERS]
        passages.append(Passage(title, text))
        if paragraph.get("is_supporting") is True:
            titles.append(title)
    return passages, titles
