"""Whether two run folders hold the same run, bit for bit, but for the clock."""

from __future__ import annotations

import json
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp

LINES = ("metrics.jsonl", "eval/seen.jsonl", "eval/unseen.jsonl")


def lines(path: pathlib.Path) -> list[dict]:
    found = [json.loads(x) for x in path.read_text().splitlines()]
    return [{k: v for k, v in r.items() if not k.startswith("time/")} for r in found]


def arrays(workdir: pathlib.Path, iteration: int) -> dict[str, bytes]:
    """Path → bytes of every leaf of one checkpoint."""
    folder = workdir / "checkpoints" / str(iteration)
    tree = ocp.StandardCheckpointer().restore(next(folder.glob("tree*")).absolute())
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(k): np.asarray(x).tobytes() for k, x in leaves}


def differences(one: pathlib.Path, two: pathlib.Path, iterations: int) -> list[str]:
    """What differs between the two; [] for the same run."""
    found = []
    for name in LINES:
        if lines(one / name) != lines(two / name):
            found.append(name)
    numbers = [x["iteration"] for x in lines(one / "metrics.jsonl")]
    if numbers != list(range(iterations)):
        found.append(f"iterations of metrics.jsonl: {len(numbers)}")
    a, b = (arrays(x, iterations) for x in (one, two))
    if a.keys() != b.keys() or len(a) < 20:
        found.append("leaves of the checkpoint")
    found += [f"checkpoint {path}" for path in a if a[path] != b.get(path)]
    return found
