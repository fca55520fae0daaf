"""Adapters from and to the files of HuggingFace's `peft` library.

A folder with `adapter_config.json` and `adapter_model.safetensors`. Factors are
[r, in] and [out, r] there, the transposes of ours. Read is what means the same here:
plain LoRA with one rank and one scale for all layers.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from safetensors.numpy import save_file

from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.models.lora import ATTENTION, COLLECTION, LAYERS, MLP, Variables
from steppo_jax.weights.files import open_tensors, read_json, write_json
from steppo_jax.weights.names import Entry, Path, entries
from steppo_jax.weights.tree import real

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
MOST_ALPHA = 1e30  # fits float32 with room for a rank below
THEIRS = {
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "out": "o_proj",
    "gate": "gate_proj",
    "up": "up_proj",
    "down": "down_proj",
}
# Settings that would change the numbers, and the one value (or its absence) read here.
PLAIN = {
    "peft_type": "LORA",
    "bias": "none",
    "fan_in_fan_out": False,
    "use_rslora": False,
    "modules_to_save": None,
    "layers_to_transform": None,
    "layers_pattern": None,
    "rank_pattern": {},
    "alpha_pattern": {},
}
# The same of newer versions; not written, since older ones refuse a name they miss.
NEWER = {
    "use_dora": False,
    "use_qalora": False,
    "lora_bias": False,
    "exclude_modules": None,
    "layer_replication": None,
    "target_parameters": None,
    "trainable_token_indices": None,
    "alora_invocation_tokens": None,
    "use_bdlora": None,
    "arrow_config": None,
    "kasa_config": None,
    "monteclora_config": None,
    "velora_config": None,
}


def save(
    folder: pathlib.Path, config: DecoderConfig, variables: Variables, base: str
) -> None:
    """Writes the adapters as `peft` loads them; the same ones give the same bytes.

    Args:
      base: the checkpoint that they belong to, a path or a hub's name: it is stored.

    Raises ModelError for a decoder without adapters.
    """
    if config.lora_rank is None:
        raise ModelError("lora_rank=None: there are no adapters to save; save weights")
    alpha = config.lora_alpha
    document = PLAIN | {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config.lora_rank,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted(THEIRS[n] for n in LAYERS[config.lora_layers]),
        "init_lora_weights": True,
        "inference_mode": True,
    }
    flat = traverse_util.flatten_dict(variables[COLLECTION])
    tensors = {}
    for entry in _adapted(config):
        for name, path in _factors(entry).items():
            value = np.asarray(flat[path], np.float32)
            tensors[name] = np.ascontiguousarray(value.T)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG, document)
    save_file(tensors, folder / TENSORS, metadata={"format": "pt"})


def load(
    folder: pathlib.Path, config: DecoderConfig
) -> tuple[DecoderConfig, Mapping[str, Any]]:
    """(decoder with adapters, their collection `lora`) for a base decoder.

    A linear layer that the file leaves out though others of its kind have an adapter
    gets zeros for both factors: they add nothing and get no gradient, so it stays as
    it is. Raises ModelError with the file and the reason for what does not fit.
    """
    document = read_json(folder / CONFIG, "the folder of a PEFT adapter")
    _check_plain(document, folder)
    if document["r"] > config.width:
        raise ModelError(
            f"{folder / CONFIG}: r={document['r']} is more than the {config.width} "
            "channels of this base model; restore the file"
        )
    targeted = _targeted(document, config, folder)
    config = dataclasses.replace(
        config,
        lora_rank=document["r"],
        lora_alpha=float(document["lora_alpha"]),
        lora_layers=_layers(set(targeted.values())),
    )
    with open_tensors(folder / TENSORS) as file:
        known = set(file.keys())
        flat = {}
        for entry in _adapted(config):
            shapes = _shapes(entry, config.lora_rank)
            for (name, path), shape in zip(_factors(entry).items(), shapes):
                if entry.ours not in targeted:
                    flat[path] = jnp.zeros(shape, jnp.float32)
                    continue
                if name not in known:
                    raise ModelError(
                        f"{folder / TENSORS} has no tensor {name}; use an adapter of "
                        "this base model"
                    )
                where = f"{folder / TENSORS}: {name}"
                value = real(file.get_tensor(name).T, jnp.float32, where)
                if value.shape != shape:
                    raise ModelError(
                        f"{folder / TENSORS}: {name} has shape {value.shape[::-1]}, "
                        f"{'/'.join(path)} needs {shape[::-1]}; use an adapter of "
                        "this base model"
                    )
                flat[path] = jnp.asarray(value)
                known.remove(name)
    if known:
        raise ModelError(
            f"{folder / TENSORS} has a tensor {min(known)} that belongs to no layer "
            f"of this base model ({len(known)} left over); use an adapter of it"
        )
    return config, traverse_util.unflatten_dict(flat)


def _adapted(config: DecoderConfig) -> list[Entry]:
    """The matrices that have adapters, in the order of the layers."""
    names = LAYERS[config.lora_layers]
    return [
        entry
        for entry in entries(config)
        if entry.is_matrix and entry.ours[-2] in names
    ]


def _factors(entry: Entry) -> dict[str, tuple[str, ...]]:
    """Their name → path in our collection, of the two factors beside a matrix."""
    stem = PREFIX + entry.theirs.removesuffix(".weight")
    *module, layer, _ = entry.ours[1:]
    adapter = (*module, f"{layer}_adapter")
    return {
        f"{stem}.lora_A.weight": (*adapter, "a"),
        f"{stem}.lora_B.weight": (*adapter, "b"),
    }


def _shapes(entry: Entry, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    outside, inside = entry.their_shape
    return (inside, rank), (rank, outside)


def _check_plain(document: Mapping[str, Any], folder: pathlib.Path) -> None:
    for name, value in (PLAIN | NEWER).items():
        # A setting that is off may be written as null, false or an empty list.
        given = document.get(name, value)
        if given != value and not (not value and not given):
            raise ModelError(
                f"{folder / CONFIG}: {name}={given!r}; of PEFT adapters only plain "
                f"LoRA with {name}={value!r} is read"
            )
    rank, alpha = document.get("r"), document.get("lora_alpha")
    if type(rank) is not int or rank < 1:
        raise ModelError(f"{folder / CONFIG}: r={rank!r} is no rank; restore the file")
    number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not number or not abs(alpha) < MOST_ALPHA:
        raise ModelError(
            f"{folder / CONFIG}: lora_alpha={alpha!r} is no number; restore the file"
        )


def _targeted(
    document: Mapping[str, Any], base: DecoderConfig, folder: pathlib.Path
) -> dict[Path, str]:
    """Path of a matrix → name of its layer, for those that the file has adapters for.

    A target is a layer's name or the end of its path, as `peft` reads a list.
    """
    matrices = {
        entry.theirs.removesuffix(".weight"): entry.ours
        for entry in entries(base)
        if entry.is_matrix and entry.ours[-2] in LAYERS["all"]
    }
    given = document.get("target_modules")
    if not isinstance(given, list) or not given:
        raise ModelError(
            f"{folder / CONFIG}: target_modules={given!r}; a list of layers is read"
        )
    found = {}
    for target in given:
        ends = [n for n in matrices if f".{n}".endswith(f".{target}")]
        if not ends:
            raise ModelError(
                f"{folder / CONFIG}: target_modules has {target!r}; adapters are read "
                f"for {', '.join(THEIRS.values())} of this base model"
            )
        found |= {matrices[n]: matrices[n][-2] for n in ends}
    return found


def _layers(names: set[str]) -> str:
    """The smallest choice of `lora_layers` that has all of them."""
    if names <= set(ATTENTION):
        return "attention"
    return "mlp" if names <= set(MLP) else "all"
