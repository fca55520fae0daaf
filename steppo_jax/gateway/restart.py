"""What a gateway knows when it starts: its record, read line by line."""

from __future__ import annotations

import pathlib
from typing import Any

from steppo_jax.gateway import record_file
from steppo_jax.gateway.book import Book
from steppo_jax.gateway.journal import Journal


def remembered(path: pathlib.Path, learned: int, **more: Any) -> tuple[Book, Journal]:
    """The state that a record tells, and the record, open for more.

    Held is only what a restart may need: open trajectories, groups that nobody has
    learned from, and rows released since a checkpoint.

    Args:
      learned: of Book; `more` are a Journal's.
    """
    record = Journal(path, **more)  # first: nobody else writes while it is read
    book = Book(learned)
    try:
        for event in record_file.read(path):
            book.apply(event)
    except BaseException:
        record.close()
        raise
    return book, record
