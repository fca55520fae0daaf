"""Groups: where a new trajectory belongs, and what state a group is in.

Trajectory `number` of an iteration is member number % group_size of the group at place
number // group_size. Nothing here changes anything.
"""

from __future__ import annotations

import dataclasses

from steppo_jax.gateway.book import Book, Group, Trajectory
from steppo_jax.gateway.errors import ApiError, busy
from steppo_jax.gateway.terms import Terms


@dataclasses.dataclass(frozen=True)
class Place:
    """What a new trajectory is told of its group."""

    group: int
    iteration: int  # whose key its draws come from
    number: int


def find(
    book: Book, terms: Terms, name: str, number: int | None, iteration: int, limit: int
) -> Place:
    """A place in the group of this name, or in a new one.

    Args:
      number: the one that is wanted; None: the first that is free.
      iteration: of a new group.
      limit: most groups that may be under way.

    Raises ApiError 409 for a place that is taken, 429 at the limit.
    """
    size = terms.group_size
    group = _forming(book, terms, name)
    if group is not None:
        first = group.index * size
        place = _free(size, number, first, group.members)
        return Place(group.id, group.iteration, first + place)
    if len(book.groups) >= limit:
        text = f"{len(book.groups)} groups are under way, the limit is {limit}"
        raise busy(f"{text}; come again", "pool_full")
    index = _free_index(book, size, number, iteration)
    place = _free(size, number, index * size, {})
    return Place(book.last_group + 1, iteration, index * size + place)


def complete(book: Book, terms: Terms, group: Group) -> bool:
    """Whether a group can be released."""
    members = members_of(book, group)
    return len(members) == terms.group_size and all(one.closed for one in members)


def members_of(book: Book, group: Group) -> list[Trajectory]:
    return [book.trajectories[name] for name in group.members.values()]


def stale(book: Book, terms: Terms, members: list[Trajectory], update: int) -> bool:
    """Whether a token of a group is too old for the update of an iteration."""
    versions = [v for v in (one.oldest() for one in members) if v is not None]
    if not versions:
        return False
    return update - book.weights.get(min(versions), update) > terms.staleness


def _forming(book: Book, terms: Terms, name: str) -> Group | None:
    """The group of this name with a free place. 409 if all are being played."""
    size = terms.group_size
    for group in book.groups.values():
        if group.name != name:
            continue
        if len(group.members) < size:
            return group
        if not complete(book, terms, group):
            text = f"group {name!r} has its {size} trajectories, and some are open"
            raise ApiError(409, text, "group_full", "group")
    return None


def _free_index(book: Book, size: int, number: int | None, iteration: int) -> int:
    here = [g for g in book.groups.values() if g.iteration == iteration]
    used = {group.index for group in here}
    if number is None:
        return next(n for n in range(len(used) + 1) if n not in used)
    if number // size in used:
        text = f"number {number} belongs to another group"
        raise ApiError(409, text, "number_taken", "number")
    return number // size


def _free(size: int, number: int | None, first: int, taken: dict) -> int:
    if number is None:
        return next(m for m in range(size) if m not in taken)
    if not first <= number < first + size or number - first in taken:
        free = [first + m for m in range(size) if m not in taken]
        text = f"number {number} is not free in this group; free are {free}"
        raise ApiError(409, text, "number_taken", "number")
    return number - first
