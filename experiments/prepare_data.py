"""Official data → the folder that a text environment reads; downloads nothing.

    python -m experiments.prepare_data --family=hotpotqa
    python -m experiments.prepare_data --family=hotpotqa --source=DOWNLOADS --out=DIR
    python -m experiments.prepare_data --family=hotpotqa --out=DIR --corpus
    python -m experiments.prepare_data --family=webshop --out=DIR --index

The first says where each file comes from and under which licence; the second verifies
the files and copies them; the third writes corpus.jsonl from the passages of the
question files, the order in which an embeddings.npy must have them; the last writes a
search index (of WebShop the products as lines, too), which all workers then share.
"""

from __future__ import annotations

import pathlib

from absl import flags

from experiments import entry
from steppo_jax.hosts import preparation, sources

FAMILY = flags.DEFINE_enum("family", None, list(sources.FILES), "Whose files.")
SOURCE = flags.DEFINE_string("source", None, "DIR, where the official files are.")
OUT = flags.DEFINE_string("out", None, "DIR, the folder to fill: its env.data.")
CORPUS = flags.DEFINE_bool("corpus", False, "Whether to write corpus.jsonl.")
INDEX = flags.DEFINE_bool("index", False, "Whether to write what workers share.")


def main() -> None:
    if SOURCE.value is None and not (CORPUS.value or INDEX.value):
        if OUT.value is not None:
            entry.stop("--out needs --source, the folder of the official files")
        print("\n".join(preparation.listing(FAMILY.value)))
        return
    if OUT.value is None:
        entry.stop("--source, --corpus and --index need --out, the folder to fill")
    if CORPUS.value and FAMILY.value != "hotpotqa":
        entry.stop(f"--corpus is for --family=hotpotqa, not {FAMILY.value}")
    if INDEX.value and FAMILY.value not in ("webshop", "hotpotqa"):
        entry.stop(f"--index is for webshop and hotpotqa, not {FAMILY.value}")
    out = pathlib.Path(OUT.value)
    if SOURCE.value is not None:
        prepared = preparation.prepare(FAMILY.value, pathlib.Path(SOURCE.value), out)
        for name, became in prepared:
            print(f"{name}: {became}", flush=True)
    if CORPUS.value:
        for name, count in preparation.write_corpora(out):
            print(f"{name}: {count} passages", flush=True)
    if INDEX.value:
        for line in preparation.write_indexes(FAMILY.value, out):
            print(line, flush=True)


if __name__ == "__main__":
    entry.launch(main, "family")
