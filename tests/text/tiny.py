"""A random two-layer llama as a checkpoint folder, its tokenizer made for household."""

from __future__ import annotations

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import tokenizers

from steppo_jax import envs
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.heads import Policy
from steppo_jax.weights import huggingface
from tests.chat.make_reference import FOLDER

CONTROL = ["<|start|>", "<|end|>"]
ENV = envs.make("household", max_steps=4, think_tokens=2)
WORDS = 700


def tokenizer() -> tokenizers.Tokenizer:
    """Byte-level BPE with a token for every word of the rules, so prompts are short."""
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=CONTROL,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([ENV.instructions] * 2, trainer)
    return bpe


def write(folder: pathlib.Path, kv_heads: int = 1) -> pathlib.Path:
    """The folder of a model that `model=FOLDER` accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    words = tokenizer()
    words.save(str(folder / "tokenizer.json"))
    shutil.copy(FOLDER / "tokenizer_config.json", folder / "tokenizer_config.json")
    config = DecoderConfig(
        vocabulary=words.get_vocab_size(),
        width=16,
        layers=2,
        heads=2,
        kv_heads=kv_heads,
        head_width=8,
        mlp_width=32,
        positions="rope",
        rope_theta=1e4,
        tie_embeddings=True,
    )
    place = jnp.zeros((1, 1), jnp.int32)
    params = Policy(config).init(jax.random.key(0), place, place, place + 1)
    huggingface.save(folder, config, params)
    return folder


def control(folder: pathlib.Path) -> dict[str, int]:
    """Ids of the control tokens."""
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    return {token["content"]: token["id"] for token in added}
