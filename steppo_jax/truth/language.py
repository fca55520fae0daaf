"""The responses of a tabular MDP: a finite set of token strings, as a tree.

A node is a prefix. A response ends with a token that has a meaning: the action
that the MDP understands. Many strings may mean the same action.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

NOTHING = -1  # in `child`: no node follows; in `meaning`: the response goes on

String = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Language:
    """The prefix tree. Nodes stand in order of their depth; node 0 is the root."""

    words: tuple[str, ...]  # V
    child: np.ndarray  # [K, V] int, node after saying the token; -1 where none
    meaning: np.ndarray  # [K, V] int, action if the token ends the response; or -1
    depth: np.ndarray  # [K] int, tokens said before the node

    @property
    def num_nodes(self) -> int:
        return len(self.depth)

    @property
    def legal(self) -> np.ndarray:
        """[K, V] bool, True where the token may be said."""
        return (self.child >= 0) | (self.meaning >= 0)

    @property
    def ends(self) -> np.ndarray:
        """[K, V] bool, True where the token ends the response."""
        return self.meaning >= 0

    @property
    def longest(self) -> int:
        """Tokens of the longest response."""
        return int(self.depth.max()) + 1

    def responses(self) -> dict[String, int]:
        """{tokens: action} of every response there is."""
        found: dict[String, int] = {}
        prefixes: dict[int, String] = {0: ()}
        for node in range(self.num_nodes):
            for token in np.flatnonzero(self.legal[node]):
                said = (*prefixes[node], int(token))
                if self.ends[node, token]:
                    found[said] = int(self.meaning[node, token])
                else:
                    prefixes[int(self.child[node, token])] = said
        return found


def build(
    words: Sequence[str],
    legal: Callable[[String], Sequence[int]],
    means: Callable[[String], int | None],
) -> Language:
    """Lists all prefixes, shortest first.

    `legal(prefix)` are the tokens that may follow, `means(string)` the action of a
    complete response and None for one that goes on.
    """
    children: list[list[int]] = []
    meanings: list[list[int]] = []
    depths: list[int] = []
    known = 1
    waiting: collections.deque[String] = collections.deque([()])
    while waiting:
        prefix = waiting.popleft()
        child, meaning = [NOTHING] * len(words), [NOTHING] * len(words)
        for token in legal(prefix):
            said = (*prefix, token)
            action = means(said)
            if action is not None:
                meaning[token] = action
                continue
            child[token] = known
            known += 1
            waiting.append(said)
        children.append(child)
        meanings.append(meaning)
        depths.append(len(prefix))
    return Language(
        tuple(words), np.array(children), np.array(meanings), np.array(depths)
    )
