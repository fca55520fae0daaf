"""What the page shows, as plain data: pool, throughput, trajectories, steps."""

from __future__ import annotations

from typing import Any

from steppo_jax.gateway import places
from steppo_jax.gateway.book import OPEN, Trajectory
from steppo_jax.gateway.calls import Calls
from steppo_jax.gateway.pool import Pool

LIVE = 100  # trajectories that are shown, of each kind
WORDS = 400  # characters of an observation or a response


def of(calls: Calls) -> dict[str, Any]:
    """Everything at this moment."""
    pool = calls.pool
    with pool.changed:
        held = list(pool.book.trajectories.values())
        live = [one for one in held if one.status == OPEN]
        ended = [one for one in held if one.status != OPEN] + list(pool.book.shown)
        ended.sort(key=lambda one: one.opened, reverse=True)
        live.sort(key=lambda one: one.opened, reverse=True)
        names = {group.id: group.name for group in pool.book.groups.values()}
        seconds = dict(calls.seconds)
        return {
            "pool": summary(pool),
            "engine": {
                "slots": calls.serving.slots,
                "waiting": calls.serving.waiting,
                "tokens": calls.serving.tokens,
                "calls": seconds["calls"],
                "seconds_engine": seconds["engine"],
                "seconds_total": seconds["total"],
            },
            "live": [_told(one, names) for one in live[:LIVE]],
            "ended": [_told(one, names) for one in ended[:LIVE]],
        }


def summary(pool: Pool) -> dict[str, Any]:
    """Numbers of the pool."""
    with pool.changed:
        book = pool.book
        complete = sum(
            places.complete(book, pool.terms, group) for group in book.groups.values()
        )
        open_ones = [t for t in book.trajectories.values() if t.status == OPEN]
        return {
            "iteration": pool.iteration,
            "policy_version": pool.version,
            "phase": _phase(pool),
            "groups_complete": complete,
            "groups_forming": len(book.groups) - complete,
            "groups_wanted": pool.terms.groups,
            "groups_limit": pool.limit(),
            "trajectories_open": len(open_ones),
            "counts": dict(book.counts),
            "record": pool.journal.summary(),
        }


def _phase(pool: Pool) -> str:
    if pool.iteration < 0:
        return "starting"
    if pool.iteration < pool.live_from:
        return "catching up"
    return "collecting" if pool.collecting else "learning"


def _told(one: Trajectory, names: dict[int, str]) -> dict[str, Any]:
    return {
        "id": one.id,
        "task": one.task[:WORDS],
        "group": names.get(one.group, f"#{one.group}"),
        "iteration": one.iteration,
        "number": one.number,
        "status": one.status,
        "cause": one.cause,
        "opened": one.opened,
        "answering": one.busy > 0,
        "return": sum(step.reward or 0.0 for step in one.steps),
        "steps": [
            {
                "kind": step.kind,
                "observation": step.observation[-WORDS:],
                "response": step.response[:WORDS],
                "prompt_tokens": len(step.prompt),
                "tokens": len(step.token),
                "log_prob": sum(step.log_prob),
                "version": [min(step.version), max(step.version)],
                "reward": step.reward,
                "seconds": step.seconds,
                "advantage": (one.advantages or [None] * len(one.steps))[t],
            }
            for t, step in enumerate(one.steps)
        ],
    }
