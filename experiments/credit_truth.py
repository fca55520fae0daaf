"""Holds every estimator of credit against the exact truth on small MDPs.

    python -m experiments.credit_truth --out=results/credit_truth
    python -m experiments.credit_truth --out=DIR --mdp=chain --episodes=6400 --seed=1

Writes DIR/credit_truth.{csv,json,md,png,svg}: bias, spread and gradient error of
every estimator × γ × λ on `chain` and `key_door`, and five studies: exact
expectations, the length of responses, a limit's fixed point, truncation ignored,
whitening. docs/credit_truth.md reads the results.
"""

from __future__ import annotations

import csv
import functools
import io
import pathlib
import sys
from collections.abc import Callable, Iterator

import jax
import matplotlib
from absl import flags
from rich.console import Console

from experiments import entry
from steppo_jax import provenance, records
from steppo_jax.progress import Progress
from steppo_jax.truth import grid, lengths, limits, picture, tables, whitening
from steppo_jax.truth.chain import chain, thoughtful_logits
from steppo_jax.truth.key_door import key_door, sensible_logits
from steppo_jax.truth.measure import Laboratory
from steppo_jax.truth.rows import COLUMNS, Row

MDPS = {
    "chain": (chain, thoughtful_logits),
    "key_door": (key_door, sensible_logits),
}
GROUPS, GROUP_SIZE = 16, 8  # episodes of a batch
NAME = "credit_truth"

OUT = flags.DEFINE_string("out", None, "DIR, the folder for what is found.")
MDP = flags.DEFINE_multi_enum("mdp", list(MDPS), list(MDPS), "MDPs of the grid.")
EPISODES = flags.DEFINE_integer(
    "episodes", 12_800, "Episodes of each sampled measurement.", lower_bound=1280
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the sampling.", lower_bound=0)

Study = Callable[[], Iterator[Row]]


def studies(batches: int, seed: int, mdps: list[str]) -> dict[str, Study]:
    """Everything to be done, by name, in the order of the tables."""

    @functools.cache
    def laboratory(name: str) -> Laboratory:
        make, logits = MDPS[name]
        mdp = make()
        return Laboratory(
            mdp,
            logits(mdp),
            batches=batches,
            groups=GROUPS,
            group_size=GROUP_SIZE,
            seed=seed,
        )

    def in_float64(study: Study) -> Study:
        def run():
            with jax.enable_x64(True):
                yield from study()

        return run

    found: dict[str, Study] = {"exact": in_float64(grid.enumerated)}
    for name in mdps:
        found[f"grid {name}"] = lambda name=name: grid.sampled(laboratory(name))
    found |= {
        "equality": lambda: grid.equality(laboratory(mdps[0])),
        "length": lengths.expected,
        "length, sampled": lambda: lengths.sampled(batches, seed),
        "fixed point": in_float64(limits.fixed_points),
        "truncation": lambda: limits.ignored(batches, seed),
        "whitening": lambda: whitening.sampled(batches, seed),
    }
    return found


def run(batches: int, seed: int, mdps: list[str]) -> list[Row]:
    """All rows. Says what is done, and how much time is left."""
    found, rows = studies(batches, seed, mdps), []
    progress = Progress(NAME, len(found))
    for done, (_name, study) in enumerate(found.items(), 1):
        rows += study()
        progress.line(done, {})
    progress.close()
    return rows


def write(folder: pathlib.Path, rows: list[Row], mdp: str, origin: Row) -> None:
    """The five files. `origin`: seed, episodes and machine the rows come from."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    records.write_atomically(folder / f"{NAME}.csv", stream.getvalue())
    record = {
        "command": "python -m experiments.credit_truth " + " ".join(sys.argv[1:]),
        "episodes_per_batch": GROUPS * GROUP_SIZE,
        **origin,
        "rows": rows,
    }
    records.write_atomically(folder / f"{NAME}.json", records.dumps(record, 1) + "\n")
    text = "\n".join(table.markdown() for table in tables.all_tables(rows))
    records.write_atomically(folder / f"{NAME}.md", text)
    heading = (
        f"credit against the truth   seed {origin['seed']}   {origin['episodes']} "
        "episodes   bars: standard errors"
    )
    figure = picture.draw(rows, mdp, heading)
    with matplotlib.rc_context({"svg.hashsalt": NAME}):
        figure.savefig(folder / f"{NAME}.png", dpi=130)
        figure.savefig(folder / f"{NAME}.svg", metadata={"Date": None})


def main() -> None:
    batches = EPISODES.value // (GROUPS * GROUP_SIZE)
    if batches * GROUPS * GROUP_SIZE != EPISODES.value:
        entry.stop(
            f"--episodes={EPISODES.value}: give a multiple of {GROUPS * GROUP_SIZE}, "
            "the episodes of a batch"
        )
    origin = {"seed": SEED.value, "episodes": EPISODES.value}
    origin |= provenance.machine()  # before the code can change under the run
    rows = run(batches, SEED.value, MDP.value)
    folder = pathlib.Path(OUT.value)
    write(folder, rows, MDP.value[0], origin)
    console = Console()
    for table in tables.all_tables(rows):
        console.print(table.rich())
    print(f"Everything is in {folder}: {NAME}.csv, .json, .md, .png, .svg")


if __name__ == "__main__":
    entry.launch(main, "out")
