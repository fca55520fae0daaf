"""Makes batches of runs in this process, one after the other."""

from __future__ import annotations

import pathlib

from steppo_jax import assembly, panel_records, panels, report, train
from steppo_jax.ablation import lanes, record, warm
from steppo_jax.ablation.overall import Part, Tell
from steppo_jax.ablation.plan import Batch
from steppo_jax.comparison import EVALUATIONS
from steppo_jax.pages import run_page
from steppo_jax.panel_records import Kind
from steppo_jax.programs import Programs

DECODINGS = ("sampled", "greedy")  # of the last evaluation


class Worker:
    """Keeps the programs of the last shape it worked on."""

    def __init__(self, ablation: str, folder: pathlib.Path, tell: Tell):
        self._ablation, self._folder, self._tell = ablation, folder, tell
        self._programs: Programs | None = None
        self._shape = ""

    def __call__(self, batch: Batch) -> None:
        """Trains the batch, or goes on with it, and writes everything of its runs.

        Raises Refused where a run cannot go on, and SystemExit after SIGTERM.
        """
        several = [self._at(run.config, batch.shape) for run in batch.runs]
        folders = [self._folder / run.name for run in batch.runs]
        bars = [Part(run.name, self._tell) for run in batch.runs]
        warms = [warm.shared(self._folder, p.config, p.env.version) for p in several]
        if len(several) == 1:
            train.learn(several[0], folders[0], bar=bars[0], warm=warms[0])
        else:
            lanes.learn(several, folders, bars, warms)
        for run, p, folder in zip(batch.runs, several, folders):
            _evaluate(p, folder)
            report.write(folder)
            run_page.write(folder)
            record.write(self._ablation, run, folder)

    def _at(self, config, shape: str) -> Programs:
        if self._programs is None or shape != self._shape:
            self._programs, self._shape = assembly.build(config), shape
        return self._programs.at(config)


def _evaluate(p: Programs, folder: pathlib.Path) -> None:
    """The last checkpoint under the decodings that training did not evaluate."""
    e, iterations = p.config.eval, p.config.iterations
    left = [decoding for decoding in DECODINGS if decoding != e.decoding]
    policy = train.trained(p, folder).policy
    for decoding in left:
        kind = Kind(iterations, decoding, seed=0)
        for panel in e.panels:
            played = panels.play(p.evaluator(decoding), policy, panel, e.episodes)
            path = folder / EVALUATIONS[1] / f"{panel}.jsonl"
            panel_records.write(path, kind, *played)
