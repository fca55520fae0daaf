"""A small made-up literature in the files' own forms.

A query names two topics; its answers are the papers on both. Two papers in three write
about one of their topics in other words, so no search of topics finds them; papers on
the same topics cite each other, so expanding does.
"""

from __future__ import annotations

import collections
import itertools
from typing import Any

from steppo_jax.hosts.drawing import number, pick, shuffled, some

NUM_PAPERS = 1600
NUM_REFERENCES = 12
FEWEST, MOST = 3, 12  # answers of a query
# topic → other words for it
TOPICS = {
    **{"segmentation": "partitioning", "translation": "rendering", "dialogue": "chat"},
    **{"summarization": "condensing", "parsing": "bracketing", "speech": "voices"},
    **{"tracking": "following", "pose": "posture", "depth": "distance"},
    **{"retrieval": "lookup", "captioning": "describing", "reasoning": "inference"},
    **{"exploration": "curiosity", "planning": "foresight", "imitation": "mimicry"},
    **{"navigation": "wayfinding", "grasping": "gripping", "bandits": "slots"},
    **{"pruning": "trimming", "quantization": "rounding", "distillation": "teaching"},
    **{"privacy": "secrecy", "fairness": "equity", "robustness": "resilience"},
    **{"calibration": "confidence", "clustering": "grouping", "ranking": "ordering"},
    **{"forecasting": "prediction", "proteins": "peptides", "molecules": "compounds"},
    **{"weather": "climate", "traffic": "congestion", "auctions": "bidding"},
    **{"contracts": "agreements", "hashing": "fingerprints", "caching": "buffering"},
}
_KINDS = ("A study of", "Learning", "Rethinking", "Scalable", "On", "Towards better")
_ASKS = {
    "train": "Could you list the works on {a} and {b}?",
    "dev": "Which studies treat {a} together with {b}?",
    "test": "Could you name research on both {a} and {b}?",
    "real": "Give me papers that combine {a} with {b}.",
}
_SHARES = ("train",) * 7 + ("dev", "test", "real")


def files(seed: int) -> tuple[dict[str, list[Any]], list[Any]]:
    """(records of each panel's file, records of papers.jsonl)."""
    topics = tuple(TOPICS)
    about = [some(topics, 3, "papers", seed, i) for i in range(NUM_PAPERS)]
    ids = [f"{2000 + i // 100}.{10000 + i * 7 % 90000}" for i in range(NUM_PAPERS)]
    on_pair = collections.defaultdict(list)
    for i, has in enumerate(about):
        for pair in itertools.combinations(has, 2):
            on_pair[pair].append(i)
    database = [
        {
            "arxiv_id": ids[i],
            **_words(("papers", seed, i), about[i]),
            "references": [ids[j] for j in _cited(seed, i, about, on_pair)],
        }
        for i in range(NUM_PAPERS)
    ]
    queries: dict[str, list[Any]] = {panel: [] for panel in _ASKS}
    for pair, members in sorted(on_pair.items()):
        if not FEWEST <= len(members) <= MOST:
            continue
        panel = pick(_SHARES, "papers", seed, "panel", *pair)
        queries[panel].append(
            {
                "question": _ASKS[panel].format(a=pair[0], b=pair[1]),
                "answer": [database[i]["title"] for i in members],
                "answer_arxiv_id": [ids[i] for i in members],
                "source_meta": {"published_time": "20241001"},
                "qid": f"generated_{panel}_{len(queries[panel])}",
            }
        )
    return queries, database


def _words(name: tuple[object, ...], has: list[str]) -> dict[str, str]:
    """Title and abstract of a paper."""
    quiet = pick(has, *name, "quiet") if number(*name, "is quiet") % 3 else ""
    said = [TOPICS[topic] if topic == quiet else topic for topic in has]
    a, b, c = shuffled(said, *name, "order")
    serial = f"{number(*name, 'serial') % 10**6:06d}"
    return {
        "title": f"{pick(_KINDS, *name, 'kind')} {a} and {b}, model {serial}",
        "abstract": f"We treat {a} with methods from {b}. Experiments on {c} follow.",
    }


def _cited(seed: int, i: int, about, on_pair) -> list[int]:
    """Papers that share two topics with this one."""
    near = dict.fromkeys(
        j
        for pair in itertools.combinations(about[i], 2)
        for j in shuffled(on_pair[pair], "papers", seed, i, *pair)[:NUM_REFERENCES]
        if j != i
    )
    return list(near)
