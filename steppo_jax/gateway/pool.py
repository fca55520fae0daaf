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
import secrets
import threading
import time
from collections.abc import Callable

from steppo_jax.errors import Refused
from steppo_jax.gateway import places
from steppo_jax.gateway.book import OPEN, Book, Group, Trajectory
from steppo_jax.gateway.cut import Cut
from steppo_jax.gateway.errors import ApiError, unavailable
from steppo_jax.gateway.journal import Journal
from steppo_jax.gateway.record_file import Event
from steppo_jax.gateway.terms import Terms
from steppo_jax.gateway.wire import CloseBody, OpenBody

Done = concurrent.futures.Future


class Pool:
    """Every method may be called from any thread; `changed` tells of what happened.

    What returns a future has happened at once, and is to be acknowledged when the
    future is done: then it is on disk.
    """

    def __init__(self, book: Book, journal: Journal, terms: Terms):
        self.book, self.terms = book, terms
        self.journal = journal
        self.changed = threading.Condition(threading.RLock())
        self.iteration, self.version, self.collecting = -1, 0, False
        # Iterations before this one were collected before a restart: they come from
        # the record, and nobody is served with their weights.
        self.live_from = max(book.releases, default=-1) + 1

    def _happen(self, event: Event) -> Done:
        if self.journal.failed is not None:
            raise ApiError(
                503, f"the record cannot be written: {self.journal.failed}", "record"
            )
        done = self.journal.append(event)
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
            place = places.find(
                self.book,
                self.terms,
                body.group,
                body.number,
                self.iteration,
                self.limit(),
            )
            event = {
                "e": "open",
                "id": f"traj_{secrets.token_hex(8)}",
                "task": body.task,
                "group": place.group,
                "name": body.group,
                "size": self.terms.group_size,
                "number": place.number,
                "iteration": place.iteration,
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

    def limit(self) -> int:
        """Most groups that may be under way."""
        return (self.terms.staleness + self.collecting) * self.terms.groups

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
            update = self.iteration if self.collecting else self.iteration + 1
            for one in list(self.book.trajectories.values()):
                if one.status == OPEN and not one.busy and one.touched < late:
                    text = (
                        f"silent for gateway.idle_seconds={self.terms.idle_seconds:g}"
                    )
                    self._happen({"e": "abandon", "id": one.id, "cause": text})
            for group in list(self.book.groups.values()):
                members = places.members_of(self.book, group)
                whole = len(members) == self.terms.group_size
                ended = all(one.closed for one in members)
                if places.stale(self.book, self.terms, members, update):
                    self._drop(group, "stale")
                elif not whole and ended and max(m.touched for m in members) < late:
                    self._drop(group, "incomplete")

    def _drop(self, group: Group, cause: str) -> None:
        self.book.counts[f"dropped_{cause}"] += 1
        self._happen({"e": "drop", "group": group.id, "cause": cause})

    # ---- the trainer -----------------------------------------------------------
    def begin(self, iteration: int, version: int) -> None:
        """Rows of this iteration are wanted, and sampled with these weights.

        Raises Refused where rows to be learned again are not recorded any more.
        """
        with self.changed:
            if iteration < self.book.before:
                raise Refused(
                    f"{self.journal.path} was shortened when there was a checkpoint "
                    f"of iteration {self.book.before}, and the run goes on from "
                    f"{iteration}: what it learned since is gone. Put that checkpoint "
                    "back, or start in another --workdir"
                )
            self.book.forget(iteration)
            self._happen({"e": "weights", "iteration": iteration, "version": version})
            self.iteration, self.version, self.collecting = iteration, version, True
            self.sweep()

    def shorten(self, saved: Callable[[], int]) -> Done | None:
        """Lets the record go of what was learned from, where it is long.

        Args:
          saved: the iteration before which no restart will begin.
        """
        with self.changed:
            if not self.journal.long:
                return None
            cut = Cut(self.book, saved())
            self.book.apply(cut.last)
            return self.journal.shorten(cut.wants, cut.last)

    def release(self) -> list[Trajectory] | None:
        """The trajectories of the iteration, groups whole, or None if too few are."""
        with self.changed:
            book, terms = self.book, self.terms
            if self.iteration not in book.releases:
                complete = [
                    g for g in book.groups.values() if places.complete(book, terms, g)
                ]
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
