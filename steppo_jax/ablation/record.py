"""record.json: what a finished run comes to, small enough to be kept under results/.

One object; success and costs only. Written last, so it also says that the run is whole.
"""

from __future__ import annotations

import pathlib
from typing import Any

from steppo_jax import comparison, metrics, panel_records, records, run_record
from steppo_jax.ablation.grid import RECORD, Run

CURVES = {  # metric of every iteration → its name here
    metrics.SUCCESS: "success",
    metrics.RETURN: "return",
    metrics.TOKENS: "tokens_per_response",
}
SUMS = {  # metric added up over iterations
    "data/tokens": "tokens",
    "time/rollout_seconds": "rollout_seconds",
    "time/update_seconds": "update_seconds",
}


def make(ablation: str, run: Run, workdir: pathlib.Path) -> dict[str, Any]:
    """The record of a finished run in `workdir`."""
    config, origin = run_record.load(workdir)
    lines = records.read(workdir / metrics.FILE)
    return {
        "ablation": ablation,
        "cell": run.cell.name,
        "seed": run.seed,
        "config": run.cell.text,
        "environment": origin["environment"],
        "commit": origin["commit"],
        "lanes": origin["lanes"],
        "iterations": config.iterations,
        "episodes": config.iterations
        * config.rollout.groups
        * config.rollout.group_size,
        **{name: sum(line[key] for line in lines) for key, name in SUMS.items()},
        "panels": {
            panel: _panel(workdir, panel, config.iterations)
            for panel in config.eval.panels
        },
        "curves": {name: [line[key] for line in lines] for key, name in CURVES.items()},
    }


def _panel(workdir: pathlib.Path, panel: str, iterations: int) -> dict[str, Any]:
    """{"before" | "after": {decoding: means over the tasks}}."""
    found: dict[str, Any] = {"before": {}, "after": {}}
    for folder in comparison.EVALUATIONS:
        for s in panel_records.of_file(workdir / folder / f"{panel}.jsonl"):
            side = {0: "before", iterations: "after"}.get(s.kind.iteration)
            if side is not None and s.kind.seed == 0:
                found[side][s.kind.decoding] = {
                    "tasks": s.episodes,
                    "success": s.success.value,
                    "return": s.returns.value,
                    "steps": s.steps,
                    "golden_steps": s.golden_steps,
                }
    return found


def write(ablation: str, run: Run, workdir: pathlib.Path) -> None:
    """Makes and writes it."""
    text = records.dumps(make(ablation, run, workdir))
    records.write_atomically(workdir / RECORD, text + "\n")


def read(run: Run, folder: pathlib.Path) -> dict[str, Any]:
    """The record of a finished run of the ablation in `folder`."""
    return records.loads((folder / run.name / RECORD).read_text(encoding="utf-8"))
