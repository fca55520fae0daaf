"""Step and token GAE of `credit.from_rows` beside the official way in PyTorch.

Both are handed what verl hands over: float32 rewards and values, an integer mask,
trajectories named by strings; both whiten. What the peer found at response tokens is
compared with ours first; elsewhere the official token GAE leaves −mean/std.
"""

from __future__ import annotations

import functools
import pathlib
import tempfile
import uuid
from typing import Any

import jax.numpy as jnp
import numpy as np

from steppo_jax import credit
from steppo_jax.benchmarks.credit import LENGTH, ROWS, VALUES, tables
from steppo_jax.benchmarks.peer import Peer
from steppo_jax.benchmarks.turns import in_turns
from steppo_jax.errors import Refused

LIMIT = {"step_gae": 10.0, "token_gae": 30.0}  # times the speed of the peer
NEAR = 1e-4  # largest difference in whitened advantages and value targets


def run(
    python: str, repeats: int, rows: int = ROWS, length: int = LENGTH, threads: int = 0
) -> dict[str, Any]:
    """One row per estimator; `threads` of the peer, 0 for as many as it takes."""
    host = tables(rows, length)
    names = [uuid.UUID(int=int(i)).hex for i in host["traj_id_B"]]
    given = {
        "reward": host["token_reward_BL"],
        "mask": host["response_mask_BL"].astype(np.int64),
        "value": host["value_BL"],
        "trajectory": np.array(names),
        "step": host["step_index_B"],
    }
    numbers = {x: VALUES[x] for x in ("gamma", "lam")}
    wide = [jnp.asarray(given[x]) for x in ("reward", "mask", "value")]
    arguments = (*wide[:2], np.array(names, dtype=object), given["step"])
    calls = {
        name: functools.partial(
            credit.from_rows, name, *arguments, value_BL=wide[2], **numbers
        )
        for name in LIMIT
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.savez(folder / "given.npz", **given, **numbers)
        other = Peer(python, "peer_credit", folder, threads=threads)
        said = given["mask"] > 0
        apart = {x: _apart(x, call(), folder, said) for x, call in calls.items()}
        took, theirs = in_turns(calls, other.asks(LIMIT), repeats)
        other.close()
    return {
        "peer": other.about,
        "rows": [_row(x, took[x], theirs[x]) | {"apart": apart[x]} for x in LIMIT],
    }


def _apart(name: str, ours: Any, folder: pathlib.Path, said_BL: np.ndarray) -> float:
    """The largest difference between our arrays and those that the peer left."""
    with np.load(folder / f"{name}.npz") as found:
        pairs = zip(ours, (found["arr_0"], found["arr_1"]))
        apart = max(float(np.abs(x - y)[said_BL].max()) for x, y in pairs)
    if not apart <= NEAR:
        raise Refused(
            f"{name} of the peer differs from ours by {apart:.2g}, more than {NEAR}: "
            "they do not do the same work, so their times say nothing"
        )
    return apart


def _row(name: str, own: Any, other: Any) -> dict[str, Any]:
    return {
        "call": name,
        "seconds": own.seconds,
        "spread": own.spread,
        "cpu_seconds": own.cpu_seconds,
        "peer_seconds": other.seconds,
        "peer_spread": other.spread,
        "peer_cpu_seconds": other.cpu_seconds,
        "times_peer": other.seconds / own.seconds,
        "cpu_times_peer": other.cpu_seconds / own.cpu_seconds,
        "peer_limit": LIMIT[name],
    }
