"""What a log of samples says about growth: slopes with their 95 % intervals.

    python -m tests.faults.slopes DIR/samples.jsonl

Neighbouring samples are alike, so a slope is that of least squares through the means of
BLOCKS equal parts of the log, its interval Student's. The first fifth is left out:
compiling and filling caches belongs to a start.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from steppo_jax.intervals import LEVEL, Interval

BLOCKS, LEFT_OUT = 20, 0.2
# Column → growth over the whole watch that may be noise, in the column's unit.
MAY = {
    "mib": 16.0,
    "threads": 0.5,
    "files": 0.5,
    "children": 0.5,
    # of its mean: what an iteration costs must not grow with how many there were
    "cpu_seconds_per_iteration": 0.1,
}
# TensorStore 0.1.86 loses some 40 KiB a checkpoint (docs/robustness.md); the watched
# runs save every ten iterations.
LOST = 0.006  # MiB per iteration
TOLD = (*MAY, "seconds_per_iteration")  # the last hangs on what else the machine does


def slope(at: np.ndarray, values: np.ndarray) -> Interval:
    """Growth of `values` per unit of `at`, by block means."""
    parts = np.array_split(np.arange(len(at)), BLOCKS)
    x, y = ([float(v[p].mean()) for p in parts] for v in (at, values))
    fit = scipy.stats.linregress(x, y)
    half = scipy.stats.t.ppf((1 + LEVEL) / 2, BLOCKS - 2) * fit.stderr
    return Interval(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def columns(samples: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Column → values after the start; the two times per iteration are differences."""
    table = {k: np.array([s[k] for s in samples], float) for k in samples[0]}
    steps = np.diff(table["iteration"])
    kept = np.flatnonzero((steps > 0) & (table["seconds"][1:] > _start(table))) + 1
    if len(kept) < 2 * BLOCKS:
        raise SystemExit(f"{len(kept)} samples are too few for {BLOCKS} blocks")
    out = {k: v[kept] for k, v in table.items()}
    for name in ("seconds", "cpu_seconds"):
        out[f"{name}_per_iteration"] = np.diff(table[name])[kept - 1] / steps[kept - 1]
    return out


def _start(table: Mapping[str, np.ndarray]) -> float:
    first, last = table["seconds"][[0, -1]]
    return first + LEFT_OUT * (last - first)


def summary(samples: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """Mean, first and last block, growth over the watch with its interval; verdict.

    A column has grown where even the lower bound of its growth is more than noise.
    """
    found, grown, told = columns(samples), [], {}
    watched = found["seconds"][-1] - found["seconds"][0]
    for name in TOLD:
        growth, mean = slope(found["seconds"], found[name]), float(found[name].mean())
        whole = [round(watched * x, 4) for x in (growth.value, growth.low, growth.high)]
        hour = [round(3600 * x, 4) for x in (growth.value, growth.low, growth.high)]
        told[name] = {"mean": round(mean, 4), "slope_per_hour": hour, "growth": whole}
        allowed = MAY.get(name, np.inf) * (mean if "per_iteration" in name else 1)
        if name == "mib":
            allowed += LOST * (found["iteration"][-1] - found["iteration"][0])
        if whole[1] > allowed:
            grown.append(name)
    done = found["iteration"][[0, -1]].astype(int).tolist()
    return {
        "watched_minutes": round(float(watched) / 60, 1),
        "iterations": done,
        **told,
        "grown": grown,
    }


def read(path: pathlib.Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    for key, value in summary(read(pathlib.Path(sys.argv[1]))).items():
        print(f"{key}: {json.dumps(value)}")
