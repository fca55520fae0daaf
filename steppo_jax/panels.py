"""Evaluating a policy on the panels that a config names, into a run's folder."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping

import jax
import numpy as np

from steppo_jax import panel_records
from steppo_jax.evaluate import PanelPlayer
from steppo_jax.panel_records import Kind

Outcome = Mapping[str, np.ndarray]


def play(
    evaluator: PanelPlayer,
    params,
    panel: str,
    episodes: int,
    seed: int = 0,
) -> tuple[Outcome, np.ndarray]:
    """Outcomes of the first `episodes` tasks of a panel, and their golden steps.

    All of its tasks where it has fewer; golden steps are NaN where nobody knows them.

    `seed` alone decides what is sampled: two policies meet the same draws.
    """
    tasks = evaluator.tasks(panel, episodes)
    outcome = evaluator(params, tasks, jax.random.key(seed))
    return outcome, evaluator.golden_steps(tasks, outcome)


def write(
    evaluator: PanelPlayer,
    params,
    workdir: pathlib.Path,
    kind: Kind,
    panels: tuple[str, ...],
    episodes: int,
    tell: Callable[[str], None],
) -> None:
    """Plays every panel, records each task in eval/PANEL.jsonl and tells the rates."""
    for panel in panels:
        outcome, golden = play(evaluator, params, panel, episodes, kind.seed)
        if not len(golden):
            continue  # of what programs outside play there is no task
        path = workdir / panel_records.FOLDER / f"{panel}.jsonl"
        panel_records.write(path, kind, outcome, golden)
        tell(
            f"{panel} panel after {kind.iteration} iterations: "
            f"success {outcome['success'].mean():.3f} on {len(golden)} tasks "
            f"({kind.decoding})"
        )
