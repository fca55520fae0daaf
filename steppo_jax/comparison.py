"""Runs side by side: one value per seed, intervals over seeds, paired differences."""

from __future__ import annotations

import collections
import dataclasses
import pathlib

import numpy as np

from steppo_jax import metrics, panel_records, run_record
from steppo_jax.errors import Refused
from steppo_jax.intervals import LEVEL, Interval, mean_t

EVALUATIONS = ("eval", "evaluations")  # folders of panel records inside a run


@dataclasses.dataclass(frozen=True)
class Run:
    """What a comparison needs of one finished run."""

    method: str  # the preset, such as "household:steppo"
    seed: int
    commit: str | None
    iterations: int
    curve: np.ndarray  # training success per iteration
    seconds: float  # of rollout and update together
    before: dict[str, float]  # decoding → success on the panel, before training
    after: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Difference:
    """Paired difference of two methods over their common seeds."""

    other: str
    base: str
    seeds: int
    interval: Interval


def load(workdir: pathlib.Path, panel: str, cell: str | None = None) -> Run:
    """One run from its folder. Raises Refused where it has not ended.

    `cell` names its method instead of the preset, for a run of an ablation.
    """
    config, record = run_record.load(workdir)
    lines = metrics.read(workdir)
    if len(lines) < config.iterations:
        raise Refused(
            f"{workdir} has {len(lines)} of {config.iterations} iterations; "
            "let it end, or leave it out"
        )
    before, after = {}, {}
    for folder in EVALUATIONS:
        for found in panel_records.of_file(workdir / folder / f"{panel}.jsonl"):
            side = {0: before, config.iterations: after}.get(found.kind.iteration)
            if side is not None and found.kind.seed == 0:
                side[found.kind.decoding] = found.success.value
    return Run(
        method=f"{config.env.name}:{cell}" if cell else config.preset,
        seed=config.seed,
        commit=record["commit"],
        iterations=config.iterations,
        curve=np.array([line[metrics.SUCCESS] for line in lines]),
        seconds=sum(
            line["time/rollout_seconds"] + line["time/update_seconds"] for line in lines
        ),
        before=before,
        after=after,
    )


def load_all(folder: pathlib.Path, panel: str) -> dict[str, list[Run]]:
    """Method → runs by seed, of every run folder directly under `folder`, and of the
    cells of an ablation: folder/CELL/seed-N.
    """
    found = [load(p.parent, panel) for p in sorted(folder.glob("*/config.json"))]
    for p in sorted(folder.glob("*/seed-*/config.json")):
        found.append(load(p.parent, panel, cell=p.parts[-3]))
    if not found:
        raise Refused(f"{folder} has no run folders; give the folder that holds them")
    by_method: dict[str, list[Run]] = collections.defaultdict(list)
    for run in sorted(found, key=lambda run: run.seed):
        by_method[run.method].append(run)
    for method, runs in by_method.items():
        seeds = [run.seed for run in runs]
        if len(set(seeds)) < len(seeds):
            raise Refused(f"{method}: seeds {seeds} are not all different")
    return dict(by_method)


def over_seeds(runs: list[Run], decoding: str, side: str = "after") -> Interval:
    """Student's interval of the panel success over seeds."""
    return mean_t([getattr(run, side)[decoding] for run in runs])


def paired(
    others: list[Run], base: list[Run], decoding: str, level: float = LEVEL
) -> Difference:
    """other − base over the seeds both have; Refused without two of them."""
    one, two = ({run.seed: run.after[decoding] for run in rs} for rs in (others, base))
    seeds = sorted(one.keys() & two.keys())
    if len(seeds) < 2:
        raise Refused("a paired difference needs two seeds that both methods have")
    gaps = np.array([one[s] - two[s] for s in seeds])
    return Difference(
        other=others[0].method.partition(":")[2],
        base=base[0].method.partition(":")[2],
        seeds=len(seeds),
        interval=mean_t(gaps, level),
    )
