"""Whether two run folders hold the same run, bit for bit, but for the clock."""

from __future__ import annotations

import collections
import json
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp

CLOCK = ("time/",)
# Of a host-environment run also: what tells of workers that were lost, and what hangs
# on which sequences shared a decode (docs/hosts.md).
HOST = (*CLOCK, "rollout/lost_", "rollout/worker_", "rollout/slots_busy")
HOST += ("rollout/prompt_", "policy/sampler_gap")


def lines(path: pathlib.Path, but: tuple[str, ...] = CLOCK) -> list[dict]:
    found = [json.loads(x) for x in path.read_text().splitlines()]
    return [{k: v for k, v in r.items() if not k.startswith(but)} for r in found]


def arrays(workdir: pathlib.Path, iteration: int) -> dict[str, bytes]:
    """Path → bytes of every leaf of one checkpoint."""
    folder = workdir / "checkpoints" / str(iteration)
    tree = ocp.StandardCheckpointer().restore(next(folder.glob("tree*")).absolute())
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(k): np.asarray(x).tobytes() for k, x in leaves}


def twice(workdir: pathlib.Path) -> list[str]:
    """Tasks that an evaluation has more than once."""
    found = []
    for path in sorted((workdir / "eval").glob("*.jsonl")):
        seen = collections.Counter((r["iteration"], r["task"]) for r in lines(path))
        found += [f"{path.name} {key}" for key, count in seen.items() if count > 1]
    return found


def differences(one: pathlib.Path, two: pathlib.Path, iterations: int) -> list[str]:
    """What differs between the two; [] for the same run."""
    found = twice(one)
    but = HOST if "rollout/lost_episodes" in _first(two) else CLOCK
    panels = sorted(p.name for p in (two / "eval").glob("*.jsonl"))
    for name in ("metrics.jsonl", *(f"eval/{panel}" for panel in panels)):
        if lines(one / name, but) != lines(two / name, but):
            found.append(name)
    numbers = [x["iteration"] for x in lines(one / "metrics.jsonl")]
    if numbers != list(range(iterations)):
        found.append(f"iterations of metrics.jsonl: {len(numbers)}")
    a, b = (arrays(x, iterations) for x in (one, two))
    if a.keys() != b.keys() or len(a) < 20:
        found.append("leaves of the checkpoint")
    found += [f"checkpoint {path}" for path in a if a[path] != b.get(path)]
    return found


def _first(workdir: pathlib.Path) -> dict:
    return lines(workdir / "metrics.jsonl")[0]
