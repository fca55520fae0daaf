"""Converts weights: GGUF to safetensors, safetensors anew, adapters folded in.

    python -m experiments.convert --source=model.gguf --out=DIR
    python -m experiments.convert --source=DIR --out=NEW --dtype=bfloat16
    python -m experiments.convert --source=DIR --adapter=LORA --out=NEW

--source is a GGUF file of the Llama family or a HuggingFace checkpoint folder,
--adapter a PEFT folder. The new folder has config.json, safetensors and the tokenizer's
files, and loads in `transformers`. It appears when it is complete.
"""

from __future__ import annotations

import pathlib
import shutil

import jax
from absl import flags

from experiments import entry
from steppo_jax.chat import files, gguf_tokenizer
from steppo_jax.errors import Refused
from steppo_jax.models import families
from steppo_jax.weights import conversion, huggingface

SOURCE = flags.DEFINE_string("source", None, "FILE.gguf or DIR, what to convert.")
OUT = flags.DEFINE_string("out", None, "DIR, the folder to make.")
ADAPTER = flags.DEFINE_string("adapter", None, "DIR of a PEFT adapter to fold in.")
DTYPE = flags.DEFINE_enum(
    "dtype", None, conversion.DTYPES, "Of the new weights; default: as stored."
)
SHARD = flags.DEFINE_integer(
    "shard_mib", 4096, "Largest file of weights, in MiB.", lower_bound=1
)
TOKENIZER = flags.DEFINE_bool("tokenizer", True, "Whether to write a tokenizer too.")


def main() -> None:
    source, out = pathlib.Path(SOURCE.value), pathlib.Path(OUT.value)
    adapter = None if ADAPTER.value is None else pathlib.Path(ADAPTER.value)
    if out.exists():
        entry.stop(f"--out={out} exists already; give a new folder")
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        found = conversion.read(source, adapter, DTYPE.value)
        unfinished.mkdir(parents=True)
        if TOKENIZER.value and source.is_dir():
            files.copy(source, unfinished)
        elif TOKENIZER.value:
            files.save(unfinished, gguf_tokenizer.load(source))
        huggingface.save(
            unfinished, found.config, found.params, SHARD.value * 2**20, found.also
        )
    except (Refused, OSError):
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    unfinished.rename(out)
    count = sum(x.size for x in jax.tree.leaves(found.params))
    shards = len(list(out.glob("*.safetensors")))
    print(
        f"{out}: {families.family_of(found.config)}, {count / 1e6:.1f} M parameters, "
        f"{found.config.param_dtype}, weights in {shards} file{'s'[: shards > 1]}"
    )


if __name__ == "__main__":
    entry.launch(main, "source", "out")
