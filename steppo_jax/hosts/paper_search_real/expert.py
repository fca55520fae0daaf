"""A librarian who knows the answers: the query's words, then citations, then titles."""

from __future__ import annotations

from steppo_jax.hosts.paper_search_real.pool import Pool


def calls(pool: Pool, most: int) -> list[tuple[str, str]]:
    """(tool, argument) of this step; none when every answer that can be is found."""
    if not pool.history:
        return [("search", pool.query.question)]
    library, until = pool.library, pool.query.published
    missing = [
        name
        for name in pool.query.answers
        if name in library.papers and name not in pool.kept
    ]
    said = {argument for tool, argument in pool.history if tool == "search"}
    found: list[tuple[str, str]] = []
    for name in pool.ranked():
        near = set(library.expand(name, until)) - pool.expanded
        if name not in pool.expanded and near & set(missing):
            found.append(("expand", name))
            missing = [other for other in missing if other not in near]
    for name in missing:
        title = library.papers[name].title
        if title not in said:
            found.append(("search", title))
    return found[:most]
