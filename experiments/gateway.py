"""Trains a model from calls of any program that speaks the chat-completions API.

    python -m experiments.gateway --workdir=DIR \\
        --config=configs/harness.py:grpo,model=smollm2_135m
    python -m experiments.gateway --workdir=DIR --host=0.0.0.0 --token_file=FILE \\
        --config=configs/textworld_express.py:grpo,model=DIR,gateway.staleness=0,\\
gateway.idle_seconds=600,gateway.calls=256

Programs open trajectories, call, and pay; complete groups are learned from
(docs/gateway.md). Started again with the same command, it resumes: what was
acknowledged is in DIR/gateway/steps.jsonl. A page stands at the gateway's address.
"""

from __future__ import annotations

import pathlib

from absl import flags

from experiments import devices, entry
from steppo_jax import settings
from steppo_jax.errors import Refused

CONFIG = entry.define_config()
WORKDIR = entry.define_workdir()
HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to serve at.")
PORT = flags.DEFINE_integer("port", 8100, "Port; 0 takes a free one.", 0, 65535)
TOKEN_FILE = flags.DEFINE_string(
    "token_file", None, "FILE with the bearer token; needed beyond this machine."
)
BODY = flags.DEFINE_integer("max_body", 2**20, "Most bytes of a request.", 1024)

KEEP = flags.DEFINE_bool(
    "keep_record", False, "Keep what is cut from the record, in numbered files."
)


def token() -> str | None:
    """The token in the file that was given. A flag would show it to `ps`."""
    if TOKEN_FILE.value is None:
        return None
    said = pathlib.Path(TOKEN_FILE.value).read_text(encoding="utf-8").strip()
    if len(said) < 16 or not said.isascii() or not said.isprintable() or " " in said:
        raise Refused(
            f"--token_file={TOKEN_FILE.value}: give 16 or more printable ASCII "
            "characters without spaces, for example of: openssl rand -hex 32"
        )
    return said


def main() -> None:
    try:
        from steppo_jax.gateway import run
    except ModuleNotFoundError as error:
        entry.stop(
            f"{error.name} is not installed; pip install 'steppo_jax[lm,gateway]'"
        )
    config = CONFIG.value
    settings.check(config)
    devices.settle(config)
    settings.check(config)  # now that the number of devices is known
    run.run(
        config,
        pathlib.Path(WORKDIR.value),
        host=HOST.value,
        port=PORT.value,
        token=token(),
        max_body=BODY.value,
        keep_record=KEEP.value,
    )


if __name__ == "__main__":
    entry.launch(main, "config", "workdir")
