"""Exact match and F1 of answers, with the normalisation of SQuAD (arXiv 1606.05250).

As in hotpot_evaluate_v1.py of github.com/hotpotqa/hotpot: lower case, no punctuation,
no articles, single spaces; in F1 a yes, no or noanswer agrees with itself only. Where
more than one answer is right (MuSiQue, 2WikiMultihopQA) the best match counts.
"""

from __future__ import annotations

import collections
import re
import string
from collections.abc import Iterable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CLOSED = ("yes", "no", "noanswer")
_OPEN, _CLOSE = "<answer>", "</answer>"
MOST_WORDS = 1000  # of an answer


def normalised(answer: str) -> str:
    """An answer as it is compared."""
    plain = answer.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def exact_match(said: str, right: Iterable[str]) -> float:
    """1 if it is one of the right answers, else 0."""
    return float(normalised(said) in map(normalised, right))


def f1(said: str, right: Iterable[str]) -> float:
    """The best F1 of words with a right answer, in [0, 1]."""
    return max((_f1(normalised(said), normalised(one)) for one in right), default=0.0)


def _f1(said: str, right: str) -> float:
    if said != right and (said in _CLOSED or right in _CLOSED):
        return 0.0
    said_words, right_words = said.split()[:MOST_WORDS], right.split()
    common = collections.Counter(said_words) & collections.Counter(right_words)
    shared = sum(common.values())
    return 2 * shared / (len(said_words) + len(right_words)) if shared else 0.0


def answer_of(text: str) -> str:
    """What the last <answer> tag holds; without one, the whole text."""
    before, close, _ = text.rpartition(_CLOSE)
    _, tag, answer = before.rpartition(_OPEN)
    return (answer if close and tag else text).strip()
