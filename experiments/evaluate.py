"""Plays frozen panels with the policy of a run and prints what it reaches.

    python -m experiments.evaluate --workdir=DIR
    python -m experiments.evaluate --workdir=DIR --panel=unseen --decoding=greedy
    python -m experiments.evaluate --workdir=DIR --seed=3 --checkpoint=40

The settings come from DIR/config.json. Every task's result is kept in
DIR/evaluations/PANEL.jsonl; the same command gives the same numbers again.
"""

from __future__ import annotations

import pathlib

from absl import flags
from rich.console import Console

from experiments import devices, entry
from experiments.restored import restore
from steppo_jax import assembly, closing, panel_records, panels, run_record, settings
from steppo_jax.panel_records import Kind

WORKDIR = entry.define_workdir()
PANEL = flags.DEFINE_multi_string("panel", [], "Panel to play; default: the run's own.")
DECODING = flags.DEFINE_enum("decoding", None, ["sampled", "greedy"], "How to decode.")
SEED = flags.DEFINE_integer("seed", None, "Seed of the sampling.", lower_bound=0)
CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "latest, or an iteration.")


def main() -> None:
    workdir = pathlib.Path(WORKDIR.value)
    config, record = run_record.load(workdir)
    decoding = DECODING.value or config.eval.decoding
    if decoding == "greedy" and SEED.value is not None:
        entry.stop(f"--seed={SEED.value}: greedy decoding draws nothing; leave it out")
    config.devices = 0  # any number gives the same results
    config.eval.panels = tuple(PANEL.value) or config.eval.panels
    devices.settle(config)
    settings.check(config)
    p = assembly.build(config)
    run_record.check_environment(record, p.env.version)
    iteration, state = restore(p, workdir, CHECKPOINT.value)
    params, evaluator = p.devices.replicate(state.policy), p.evaluator(decoding)
    kind = Kind(iteration, decoding, SEED.value or 0)
    found = []
    for panel in config.eval.panels:
        played = panels.play(evaluator, params, panel, config.eval.episodes, kind.seed)
        path = workdir / "evaluations" / f"{panel}.jsonl"
        panel_records.write(path, kind, *played)
        found += [s for s in panel_records.of_file(path) if s.kind == kind]
    Console().print(closing.panel_table(found))
    print(f"Every task is in {workdir / 'evaluations'}")


if __name__ == "__main__":
    entry.launch(main, "workdir")
