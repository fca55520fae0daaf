"""GGUF files of the Llama family (llama.cpp's format), quantised or not."""

from __future__ import annotations

import pathlib
from typing import Any

import gguf
import numpy as np

from steppo_jax.models import families
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.weights import gguf_header
from steppo_jax.weights.tree import ShardingOf, build

# llama.cpp's name of a layer's tensor → HuggingFace's.
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
TOP["output"] = "lm_head"


def load(
    path: pathlib.Path, sharding: ShardingOf | None = None, **dtypes: Any
) -> tuple[DecoderConfig, Any]:
    """(decoder, parameters of a Policy) of a GGUF file; quantised values expanded.

    `sharding` and `dtypes` as `huggingface.load`. Raises ModelError.
    """
    reader = open_file(path)
    tensors = {_their_name(tensor.name, path): tensor for tensor in reader.tensors}
    config = decoder_config(reader, path, "lm_head.weight" not in tensors, **dtypes)
    heads = {"q_proj": config.heads, "k_proj": config.kv_heads}

    def read(name: str) -> np.ndarray:
        tensor = tensors[name]
        try:
            value = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        except (NotImplementedError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: {tensor.name} cannot be read: {error}") from None
        count = heads.get(name.split(".")[-2])
        return value if count is None else _halves(value, count)

    return config, build(config, tensors.keys(), read, str(path), sharding)


def config_of(path: pathlib.Path, **dtypes: Any) -> DecoderConfig:
    """The decoder of a GGUF file, without reading a tensor. Raises ModelError."""
    reader = open_file(path)
    names = {_their_name(tensor.name, path) for tensor in reader.tensors}
    return decoder_config(reader, path, "lm_head.weight" not in names, **dtypes)


def open_file(path: pathlib.Path) -> gguf.GGUFReader:
    """The file's reader. Raises ModelError where it is none."""
    gguf_header.check(path)
    try:
        return gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, OSError, OverflowError) as error:
        raise ModelError(f"{path} is no readable GGUF file: {error}") from None


def field(reader: gguf.GGUFReader, name: str, path: pathlib.Path) -> Any:
    """The value of a metadata field. Raises ModelError if it is not there."""
    found = reader.get_field(name)
    if found is None:
        raise ModelError(f"{path} has no field {name}; use a complete GGUF file")
    try:
        return found.contents()
    except (ValueError, IndexError, TypeError) as error:
        raise ModelError(f"{path}: field {name} cannot be read: {error}") from None


def other_fields(path: pathlib.Path) -> dict[str, Any]:
    """Fields of a config.json that a decoder has none of, where the file has them."""
    reader = open_file(path)
    names = {
        "max_position_embeddings": "llama.context_length",
        "bos_token_id": "tokenizer.ggml.bos_token_id",
        "eos_token_id": "tokenizer.ggml.eos_token_id",
    }
    found = {theirs: reader.get_field(ours) for theirs, ours in names.items()}
    return {name: x.contents() for name, x in found.items() if x is not None}


def decoder_config(
    reader: gguf.GGUFReader, path: pathlib.Path, tied: bool, **dtypes: Any
) -> DecoderConfig:
    """The decoder that the file's metadata describes."""
    kind = field(reader, "general.architecture", path)
    if kind != "llama":
        raise ModelError(
            f"{path} holds a {kind!r} model; of GGUF only llama is read: "
            "give safetensors instead"
        )

    def get(name: str) -> Any:
        return field(reader, f"llama.{name}", path)

    def size(name: str) -> int:
        return families.size(f"{path}: llama.{name}", get(name))

    def real(name: str) -> float:
        return families.real(f"{path}: llama.{name}", get(name))

    heads, width = size("attention.head_count"), size("embedding_length")
    if "rope_freqs.weight" in {t.name for t in reader.tensors}:
        raise ModelError(
            f"{path} has scaled rotary frequencies (rope_freqs); give safetensors "
            "instead, where their parameters are named"
        )
    tokens = field(reader, "tokenizer.ggml.tokens", path)
    if not isinstance(tokens, list):
        raise ModelError(f"{path}: tokenizer.ggml.tokens is no list")
    return families.decoder(
        vocabulary=families.size(f"{path}: number of tokens", len(tokens)),
        width=width,
        layers=families.layers(f"{path}: llama.block_count", get("block_count")),
        heads=heads,
        kv_heads=size("attention.head_count_kv"),
        head_width=width // heads,
        mlp_width=size("feed_forward_length"),
        positions="rope",
        rope_theta=real("rope.freq_base"),
        tie_embeddings=tied,
        norm_eps=real("attention.layer_norm_rms_epsilon"),
        **dtypes,
    )


def _their_name(name: str, path: pathlib.Path) -> str:
    parts = name.split(".")
    if parts[0] in TOP and len(parts) == 2:
        return f"{TOP[parts[0]]}.{parts[1]}"
    if parts[0] == "blk" and len(parts) == 4 and parts[2] in LAYER:
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.{parts[3]}"
    raise ModelError(f"{path} has an unknown tensor {name}; is it a llama model?")


def _halves(value: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k from llama.cpp's order, where the two channels that a rotary
    angle turns are neighbours, to ours, where they are half a head apart."""
    out, width = value.shape if value.ndim == 2 else (0, 0)
    if not out or out % (2 * heads):
        raise ModelError(
            f"a query or key of shape {value.shape} does not split into {heads} heads; "
            "use a complete GGUF file"
        )
    pairs = value.reshape(heads, out // heads // 2, 2, width)
    return pairs.swapaxes(1, 2).reshape(out, width)
