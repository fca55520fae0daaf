"""Every estimator of credit beside one pass over the same arrays.

The pass reads the [B, L] arrays that an estimator is given and writes two of that
shape, as it does: nothing that computes credit on the device can be faster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import credit
from steppo_jax.benchmarks import recursion
from steppo_jax.benchmarks.timing import Timing, alternate

ROWS, LENGTH, STEPS, GROUP_SIZE = 1424, 1024, 16, 8  # 89 trajectories of 16 steps
LIMIT = {"step": 4.0, "token": 40.0}  # times the pass, by level of the estimator
VALUES = {
    "gamma": 0.99,
    "lam": 0.95,
    "token_gamma": 1.0,
    "divide_by_std": True,
    "step_weight": 1.0,
}
PEERS = {"step_gae": recursion.step_gae, "token_gae": recursion.token_gae}


def names() -> tuple[str, ...]:
    """All but those that need numbers measured by branching."""
    return tuple(n for n in credit.names() if not credit.get(n).needs_branching)


def tables(rows: int, length: int) -> dict[str, np.ndarray]:
    """Arrays as `credit.from_rows` takes them: half of the tokens are responses."""
    random = np.random.default_rng(0)
    said_B = random.integers(1, length + 1, rows)
    mask_BL = (np.arange(length) < said_B[:, None]).astype(np.float32)
    reward_BL = np.zeros((rows, length), np.float32)
    reward_BL[np.arange(rows), said_B - 1] = random.normal(size=rows)
    traj_B = np.arange(rows) // STEPS
    return {
        "token_reward_BL": reward_BL,
        "response_mask_BL": mask_BL,
        "value_BL": random.normal(size=(rows, length)).astype(np.float32),
        "traj_id_B": traj_B,
        "step_index_B": np.arange(rows) % STEPS,
        "group_id_B": traj_B // GROUP_SIZE,
        "state_key_B": random.integers(0, 50, rows),
    }


def estimator(name: str, arrays: dict[str, Any]) -> Callable[[], Any]:
    """The call of `credit.from_rows` as users make it, its checks included."""
    entry = credit.get(name)
    unread = set()
    if entry.critic == "none":
        unread.add("value_BL")
    if not entry.needs_groups:
        unread.add("group_id_B")
    if not entry.needs_state_keys:
        unread.add("state_key_B")
    given = {k: x for k, x in arrays.items() if k not in unread}
    options = {k: VALUES[k] for k in entry.options if k in VALUES}
    options |= {"official": False, "normalise": "none"}
    return functools.partial(credit.from_rows, name, **given, **options)


@jax.jit
def one_pass(*tables_BL: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Reads every table once and writes two of that shape."""
    total = functools.reduce(jnp.add, tables_BL)
    return total, -total


def run(repeats: int, rows: int = ROWS, length: int = LENGTH) -> list[dict[str, Any]]:
    """One row per call, with its ratio to the pass over the same arrays."""
    host = tables(rows, length)
    device = {k: jnp.asarray(x) if x.ndim == 2 else x for k, x in host.items()}
    wide = [x for x in device.values() if x.ndim == 2]
    calls: dict[str, Callable[[], Any]] = {
        "pass": lambda: one_pass(*wide[:2]),
        "pass with values": lambda: one_pass(*wide),
    }
    calls |= {name: estimator(name, device) for name in names()}
    for name, peer in PEERS.items():
        inputs = [x for x in host.values() if x.ndim == 2]
        numbers = (STEPS, VALUES["gamma"], VALUES["lam"])
        calls[f"numpy {name}"] = functools.partial(peer, *inputs, *numbers)
    took = alternate(calls, repeats)
    return [row(name, took) for name in calls]


def row(name: str, took: dict[str, Timing]) -> dict[str, Any]:
    """One call's numbers; `limit` is None where nothing is demanded."""
    known = name if name in credit.names() else name.removeprefix("numpy ")
    own, limit, beside = took[name], None, name
    if known in credit.names():
        entry = credit.get(known)
        beside = "pass" if entry.critic == "none" else "pass with values"
        limit = LIMIT[entry.level] if known == name else None
    return {
        "call": name,
        "seconds": own.seconds,
        "spread": own.spread,
        "cpu_seconds": own.cpu_seconds,
        "ratio": own.seconds / took[beside].seconds,
        "limit": limit,
    }
