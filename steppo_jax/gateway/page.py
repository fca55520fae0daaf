"""The page at `/`: one file without anything from elsewhere.

It holds nothing of a run: its script asks `/v1/status` and writes what it gets as text,
never as markup. The policy forbids every other script, picture and address.
"""

from __future__ import annotations

import base64
import hashlib
import pathlib

_TEXT = (pathlib.Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def _hash(tag: str) -> str:
    """The source of a Content-Security-Policy that allows this very text."""
    inside = _TEXT.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
    return f"'sha256-{digest}'"


HTML = _TEXT
POLICY = (
    f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
