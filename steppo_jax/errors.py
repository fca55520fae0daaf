"""The base of every error that a person can put right without reading code."""


class Refused(ValueError):
    """What was given cannot be used; the message is one line with the way out.

    Entry points print it without a traceback and exit with code 2.
    """
