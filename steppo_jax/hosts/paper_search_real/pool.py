"""What an episode has collected, and what a call is paid.

Two measures of relevance. What the policy sees, the order of papers and which ones of
an expansion are kept (all of a search are), is by the words that paper and query share
(`Library.overlap`), so no observation tells which papers are answers. What a call is
paid is `relevance`: "answers" (1 for an answer of the query, else 0) or "overlap". The
paper has one measure for both, a selector of 8 B parameters.
"""

from __future__ import annotations

from steppo_jax.hosts.paper_search_real.library import Library
from steppo_jax.hosts.paper_search_real.queries import Query

NUM_REWARDED = 3  # new papers that a call is paid for
PENALTY = -0.5
LEAST_KEPT = 0.01  # overlap of what an expansion finds
ENOUGH = 0.8  # recall that is success
CUTS = (25, 50, 100)


class Pool:
    """The papers that were kept."""

    def __init__(self, library: Library, query: Query, relevance: str):
        self.library, self.query, self._relevance = library, query, relevance
        self.kept: dict[str, float] = {}  # id → overlap
        self.expanded: set[str] = set()
        self.new: set[str] = set()  # kept by the last step
        self.history: list[tuple[str, str]] = []  # calls, wasted ones too
        self._searched: set[str] = set()

    def begin_step(self) -> None:
        self.new = set()

    def search(self, words: str) -> float:
        """What a search is paid; PENALTY for one that says nothing, or nothing new."""
        self.history.append(("search", words))
        said = " ".join(words.lower().split())
        if not said or said in self._searched:
            return PENALTY
        self._searched.add(said)
        return self._keep(self.library.search(words, self.query.published), 0.0)

    def expand(self, name: str) -> float:
        """The same for an expansion; PENALTY if it is not listed or was expanded."""
        self.history.append(("expand", name))
        if name not in self.kept or name in self.expanded:
            return PENALTY
        self.expanded.add(name)
        return self._keep(self.library.expand(name, self.query.published), LEAST_KEPT)

    def _keep(self, names: list[str], least: float) -> float:
        gains = []
        for name in names:
            shared = self.library.overlap(self.query.question, name)
            if name in self.kept or shared < least:
                continue
            self.kept[name] = shared
            self.new.add(name)
            right = float(name in self.query.answers)
            gains.append(right if self._relevance == "answers" else shared)
        return sum(sorted(gains)[-NUM_REWARDED:])

    def ranked(self) -> list[str]:
        """Kept papers, most relevant first; of equals the one kept first."""
        return sorted(self.kept, key=lambda name: -self.kept[name])

    def outcome(self) -> dict[str, float]:
        """Recall, precision and F1 of the pool (the paper's "@all"), recall of its
        best 25, 50 and 100, and whether recall is enough (a rule of ours)."""
        answers, ranked = set(self.query.answers), self.ranked()
        right = len(answers & self.kept.keys())
        recall = right / len(answers)
        precision = right / len(ranked) if ranked else 0.0
        return {
            "success": float(right * 10 >= len(answers) * round(ENOUGH * 10)),
            "recall": recall,
            "precision": precision,
            "f1": 2 * right / (len(answers) + len(ranked)),
            **{
                f"recall_{k}": len(answers & set(ranked[:k])) / len(answers)
                for k in CUTS
            },
        }
