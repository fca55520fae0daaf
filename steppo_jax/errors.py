"""The base of every error that a person can put right without reading code."""

from __future__ import annotations

import errno

# What a disk says when it is full, write-protected or failing.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# The same in the texts of libraries that wrap it.
WORDS = (
    "No space left",
    "Disk quota exceeded",
    "File too large",
    "Read-only file system",
    "Input/output error",
)


class Refused(ValueError):
    """What was given cannot be used; the message is one line with the way out.

    Entry points print it without a traceback and exit with code 2.
    """

    def __init__(self, message: object = ""):
        # What it names may be a file's name, and that may hold line breaks.
        super().__init__(" ".join(str(message).splitlines()))


def of_disk(error: BaseException | None) -> str | None:
    """What the disk said, where that is behind an error; None for any other."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK:
            return error.strerror
        text = str(error)
        for words in WORDS:
            if words in text:
                return words
        error = error.__cause__ or error.__context__
    return None
