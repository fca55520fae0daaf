"""What of a record a restart still needs, once checkpoints hold what was learned.

Kept are the lines of every trajectory that is held (open, or in a group that is not
learned from) and of those released to an iteration that a restart may learn again.
One more line says what the others can no longer tell.
"""

from __future__ import annotations

from steppo_jax.gateway.book import Book
from steppo_jax.gateway.record_file import Event

OF_ONE = ("open", "step", "reward", "close")
# Abandoned and dropped ones are over, and the last line has the weights.
GONE = ("abandon", "drop", "weights", "so_far")


class Cut:
    """A book's record without what nobody will ask for.

    Args:
      before: a restart begins at this iteration or a later one.
    """

    def __init__(self, book: Book, before: int):
        self._before = before
        replayed = {n: ids for n, ids in book.replayed.items() if n >= before}
        self._ids = {*book.trajectories, *(x for ids in replayed.values() for x in ids)}
        versions = [one.oldest() for one in book.trajectories.values()]
        newest = max(book.weights, default=0)
        oldest = min((v for v in versions if v is not None), default=newest)
        self.last: Event = {
            "e": "so_far",
            "before": before,
            "last_group": book.last_group,
            "counts": dict(book.counts),
            "weights": [(v, n) for v, n in book.weights.items() if v >= oldest],
            "opened": list(book.opened.items()),
            "over": list(book.over.items()),
        }

    def wants(self, event: Event) -> bool:
        """Whether a line stays."""
        kind = event["e"]
        if kind in OF_ONE:
            return event["id"] in self._ids
        if kind == "release":
            return event["iteration"] >= self._before
        if kind in GONE:
            return False
        raise ValueError(f"no event is called {kind!r}")
