"""Tokenizer files of a checkpoint folder: written, or copied from another one."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

from steppo_jax.chat.tokenizer import ChatTokenizer

# What a checkpoint folder may have beside its weights that makes text of ids.
NAMES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
)


def save(folder: pathlib.Path, chat: ChatTokenizer) -> None:
    """Writes what `tokenizer.load` and `transformers` read back as the same."""
    (folder / "tokenizer.json").write_text(chat.tokenizer.to_str(), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **chat.special}
    if chat.template is not None:
        settings["chat_template"] = chat.template
    _write(folder / "tokenizer_config.json", settings)
    _write(folder / "generation_config.json", {"eos_token_id": list(chat.stop)})


def copy(source: pathlib.Path, folder: pathlib.Path) -> None:
    """Copies the files that are there."""
    for name in NAMES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)


def _write(path: pathlib.Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8")
