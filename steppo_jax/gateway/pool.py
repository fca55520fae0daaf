"""The pool: who may open a trajectory, what is complete, what the trainer is given.

Groups of `group_size` closed trajectories are released together. At most
(staleness + 1 while rows are collected) × `groups` groups are under way, so what is
collected can also be used; who comes too early is told to come again. A group is
dropped whose oldest token was sampled more than `staleness` iterations ago, and an
open trajectory that says nothing for `idle_seconds` is abandoned: its place is free for
another one with the same draws.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import secrets
import threading
import time
from typing import Any

from steppo_jax.gateway.book import OPEN, Book, Group, Trajectory
from steppo_jax.gateway.errors import ApiError, busy, unavailable
from steppo_jax.gateway.journal import Event, Journal
from steppo_jax.gateway.wire import CloseBody, OpenBody

Done = concurrent.futures.Future


@dataclasses.dataclass(frozen=True)
class Terms:
    """What of a run's settings the pool goes by."""

    groups: int  # released together
    group_size: int
    max_steps: int  # of a trajectory
    staleness: int  # iterations
    idle_seconds: float
    bootstrap: bool  # a truncated trajectory needs the state beyond


class Pool:
    """Every method may be called from any thread; `changed` tells of what happened.

    What returns a future has happened at once, and is to be acknowledged when the
    future is done: then it is on disk.
    """

    def __init__(self, book: Book, journal: Journal, terms: Terms):
        self.book, self.terms = book, terms
        self._journal = journal
        self.changed = threading.Condition(threading.RLock())
        self.iteration, self.version, self.collecting = -1, 0, False
        # Iterations before this one were collected before a restart: they come from
        # the record, and nobody is served with their weights.
        self.live_from = max(book.releases, default=-1) + 1

    def _happen(self, event: Event) -> Done:
        if self._journal.failed is not None:
            raise ApiError(
                503, f"the record cannot be written: {self._journal.failed}", "record"
            )
        done = self._journal.append(event)
        self.book.apply(event)
        self.changed.notify_all()
        return done

    # ---- harnesses -------------------------------------------------------------
    def find(self, name: str) -> Trajectory:
        """A trajectory that is held. Raises ApiError 404, or 409 if it is gone."""
        with self.changed:
            if name in self.book.trajectories:
                return self.book.trajectories[name]
            if name in self.book.over:
                status = self.book.over[name]
                raise ApiError(409, f"trajectory {name} is over: {status}", status)
            raise ApiError(
                404, f"there is no trajectory {name}", "trajectory_not_found"
            )

    def find_open(self, name: str) -> Trajectory:
        one = self.find(name)
        if one.status != OPEN:
            text = f"trajectory {name} is closed ({one.status})"
            raise ApiError(409, text, "trajectory_closed")
        return one

    def open(self, body: OpenBody, key: str | None) -> tuple[str, Done | None]:
        """(id of the new trajectory, or of the one that this key opened; future)."""
        with self.changed:
            if key is not None and key in self.book.opened:
                return self.book.opened[key], None
            self.serves()
            group = self._forming(body.group)
            if group is None:
                index = self._free_index(body.number)
                number, name = index * self.terms.group_size, self.book.last_group + 1
                taken: dict[int, str] = {}
            else:
                number, name = group.index * self.terms.group_size, group.id
                taken = group.members
            number += self._free_place(body.number, number, taken)
            event = {
                "e": "open",
                "id": f"traj_{secrets.token_hex(8)}",
                "task": body.task,
                "group": name,
                "name": body.group,
                "size": self.terms.group_size,
                "number": number,
                "iteration": self.iteration if group is None else group.iteration,
                "own_sampling": body.own_sampling,
                "key": key,
                "at": time.time(),
            }
            return event["id"], self._happen(event)

    def serves(self) -> None:
        """Raises ApiError 503 while there are no weights to collect with."""
        if self.iteration < 0:
            raise unavailable("the weights are not loaded yet", "starting", 2)
        if self.iteration < self.live_from:
            raise unavailable(
                "learning anew from the record after a restart", "catching_up", 2
            )

    def _forming(self, name: str) -> Group | None:
        """The group of this name with a free place. 409 if all are being played."""
        size = self.terms.group_size
        for group in self.book.groups.values():
            if group.name != name:
                continue
            if len(group.members) < size:
                return group
            if not self._complete(group):
                text = f"group {name!r} has its {size} trajectories, and some are open"
                raise ApiError(409, text, "group_full", "group")
        return None

    def _free_index(self, number: int | None) -> int:
        limit = (self.terms.staleness + self.collecting) * self.terms.groups
        if len(self.book.groups) >= limit:
            text = f"{len(self.book.groups)} groups are under way, the limit is {limit}"
            raise busy(f"{text}; come again", "pool_full")
        here = [g for g in self.book.groups.values() if g.iteration == self.iteration]
        used = {group.index for group in here}
        if number is None:
            return next(n for n in range(len(used) + 1) if n not in used)
        index = number // self.terms.group_size
        if index in used:
            text = f"number {number} belongs to another group"
            raise ApiError(409, text, "number_taken", "number")
        return index

    def _free_place(self, number: int | None, first: int, taken: dict) -> int:
        size = self.terms.group_size
        if number is None:
            return next(m for m in range(size) if m not in taken)
        if not first <= number < first + size or number - first in taken:
            free = [first + m for m in range(size) if m not in taken]
            text = f"number {number} is not free in this group; free are {free}"
            raise ApiError(409, text, "number_taken", "number")
        return number - first

    def may_step(self, one: Trajectory) -> None:
        """Raises ApiError if no step may follow."""
        self.serves()
        if len(one.steps) >= self.terms.max_steps:
            text = f"the trajectory has its env.max_steps={self.terms.max_steps} steps"
            raise ApiError(409, f"{text}; close it", "max_steps")

    def step(self, one: Trajectory, event: Event) -> Done:
        """Adds a row; the trajectory must still be open."""
        with self.changed:
            self.find_open(one.id)
            return self._happen(event | {"e": "step", "id": one.id})

    def reward(self, name: str, step: int | None, reward: float) -> Done | None:
        """Pays for a step. The same again does nothing, another reward is a 409."""
        with self.changed:
            one = self.find_open(name)
            place = len(one.steps) - 1 if step is None else step
            if not 0 <= place < len(one.steps):
                text = f"the trajectory has {len(one.steps)} steps, none is {place}"
                raise ApiError(409, text, "no_such_step", "step")
            before = one.steps[place].reward
            if before == reward:
                return None
            if before is not None:
                text = f"step {place} has its reward of {before}"
                raise ApiError(409, text, "reward_given", "reward")
            return self._happen(
                {"e": "reward", "id": name, "step": place, "reward": reward}
            )

    def close(
        self, name: str, body: CloseBody, after: list[int] | None, key: str | None
    ) -> Done | None:
        """Ends a trajectory. A second time is a 409, unless it is the same request."""
        with self.changed:
            one = self.find(name)
            if one.closed and key is not None and one.keys.get(key) == "close":
                return None
            one = self.find_open(name)
            if not one.steps:
                text = "the trajectory has no step to learn from; abandon it instead"
                raise ApiError(409, text, "no_step")
            if one.busy:
                raise ApiError(409, "a call of it is being answered", "in_flight")
            if body.reward is not None and one.steps[-1].reward is not None:
                text = f"the last step has its reward of {one.steps[-1].reward}"
                raise ApiError(409, text, "reward_given", "reward")
            return self._happen(
                {
                    "e": "close",
                    "id": name,
                    "end": body.end,
                    "reward": body.reward,
                    "outcome": body.outcome or {},
                    "next": after,
                    "key": key,
                }
            )

    def abandon(self, name: str, cause: str) -> Done:
        with self.changed:
            self.find_open(name)
            return self._happen({"e": "abandon", "id": name, "cause": cause})

    # ---- time ------------------------------------------------------------------
    def sweep(self) -> None:
        """Abandons who was silent too long, and drops what can never be complete."""
        with self.changed:
            if not self.iteration >= self.live_from:
                return
            late = time.monotonic() - self.terms.idle_seconds
            for one in list(self.book.trajectories.values()):
                if one.status == OPEN and not one.busy and one.touched < late:
                    text = (
                        f"silent for gateway.idle_seconds={self.terms.idle_seconds:g}"
                    )
                    self._happen({"e": "abandon", "id": one.id, "cause": text})
            for group in list(self.book.groups.values()):
                members = [self.book.trajectories[m] for m in group.members.values()]
                whole = len(members) == self.terms.group_size
                ended = all(one.closed for one in members)
                if self._stale(members):
                    self._drop(group, "stale")
                elif not whole and ended and max(m.touched for m in members) < late:
                    self._drop(group, "incomplete")

    def _drop(self, group: Group, cause: str) -> None:
        self.book.counts[f"dropped_{cause}"] += 1
        self._happen({"e": "drop", "group": group.id, "cause": cause})

    def _stale(self, members: list[Trajectory]) -> bool:
        """Whether a token of a group is too old for the next update."""
        versions = [v for v in (one.oldest() for one in members) if v is not None]
        if not versions:
            return False
        next_update = self.iteration if self.collecting else self.iteration + 1
        sampled = self.book.weights.get(min(versions), self.iteration)
        return next_update - sampled > self.terms.staleness

    # ---- the trainer -----------------------------------------------------------
    def begin(self, iteration: int, version: int) -> None:
        """Rows of this iteration are wanted, and sampled with these weights."""
        with self.changed:
            self.book.forget(iteration)
            self._happen({"e": "weights", "iteration": iteration, "version": version})
            self.iteration, self.version, self.collecting = iteration, version, True
            self.sweep()

    def release(self) -> list[Trajectory] | None:
        """The trajectories of the iteration, groups whole, or None if too few are."""
        with self.changed:
            book, terms = self.book, self.terms
            if self.iteration not in book.releases:
                complete = [g for g in book.groups.values() if self._complete(g)]
                if len(complete) < terms.groups:
                    return None
                complete.sort(key=lambda g: (g.iteration, g.index))
                ids = [
                    g.members[m]
                    for g in complete[: terms.groups]
                    for m in range(terms.group_size)
                ]
                event = {"e": "release", "iteration": self.iteration, "ids": ids}
                self._happen(event).result()  # before anybody learns from it
            self.collecting = False
            return [book.trajectories[name] for name in book.releases[self.iteration]]

    def _complete(self, group: Group) -> bool:
        members = group.members.values()
        closed = all(self.book.trajectories[name].closed for name in members)
        return closed and len(members) == self.terms.group_size

    def summary(self) -> dict[str, Any]:
        """Numbers of the pool."""
        with self.changed:
            complete = sum(self._complete(g) for g in self.book.groups.values())
            status = [t.status for t in self.book.trajectories.values()]
            limit = (self.terms.staleness + self.collecting) * self.terms.groups
            return {
                "iteration": self.iteration,
                "policy_version": self.version,
                "phase": self._phase(),
                "groups_complete": complete,
                "groups_forming": len(self.book.groups) - complete,
                "groups_wanted": self.terms.groups,
                "groups_limit": limit,
                "trajectories_open": status.count(OPEN),
                "counts": dict(self.book.counts),
            }

    def _phase(self) -> str:
        if self.iteration < 0:
            return "starting"
        if self.iteration < self.live_from:
            return "catching up"
        return "collecting" if self.collecting else "learning"
