"""The tokenizer inside a GGUF file, rebuilt with the `tokenizers` library."""

from __future__ import annotations

import pathlib

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from steppo_jax.chat.template import ChatError
from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.models.families import ModelError
from steppo_jax.weights import gguf_file

CONTROL = 3  # token_type of control tokens


def _smollm() -> pre_tokenizers.PreTokenizer:
    digits = pre_tokenizers.Digits(individual_digits=True)
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return pre_tokenizers.Sequence([digits, bytes_])


# llama.cpp's name of the rule that cuts text into words → the same rule here.
WORDS = {
    "smollm": _smollm,
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
}


def load(path: pathlib.Path) -> ChatTokenizer:
    """The tokenizer of a GGUF file. Raises ModelError or ChatError."""
    reader = gguf_file.open_file(path)

    def get(name: str):
        return gguf_file.field(reader, f"tokenizer.{name}", path)

    kind, words = get("ggml.model"), get("ggml.pre")
    if kind != "gpt2" or not isinstance(words, str) or words not in WORDS:
        raise ChatError(
            f"{path}: tokenizer {kind!r} with word rule {words!r} is not one of "
            f"gpt2 with {', '.join(WORDS)}; use the tokenizer.json of the model"
        )
    try:
        return _build(get)
    except ModelError:
        raise
    except Exception as error:  # tokenizers raises plain Exception on bad pieces
        text = " ".join(str(error).split())
        raise ChatError(
            f"{path}: its tokenizer cannot be built ({text}); fetch the file again"
        ) from None


def _build(get) -> ChatTokenizer:
    words = get("ggml.pre")
    tokens, types = get("ggml.tokens"), get("ggml.token_type")
    merges = [tuple(pair.split(" ")) for pair in get("ggml.merges")]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = WORDS[words]()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            tokenizers.AddedToken(token, normalized=False, special=True)
            for token, type_ in zip(tokens, types, strict=True)
            if type_ == CONTROL
        ]
    )
    special = {
        f"{name}_token": tokens[get(f"ggml.{name}_token_id")] for name in ("bos", "eos")
    }
    return ChatTokenizer(
        tokenizer, get("chat_template"), special, (get("ggml.eos_token_id"),)
    )
