"""Writes tests/weights/reference/: tiny random models of each family with the logits
that `transformers` gives for them. Needs torch and transformers; run by hand:

    python tests/weights/make_reference.py

Weights are not stored: both sides draw them from `numpy` with the same seed.
"""

import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "reference"
SIZES = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "intermediate_size": 40,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
}
SCALED = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
CASES = {
    "llama": {"model_type": "llama", "rope_parameters": PLAIN},
    "llama_scaled_tied": {
        "model_type": "llama",
        "rope_parameters": SCALED,
        "tie_word_embeddings": True,
    },
    "qwen2": {"model_type": "qwen2", "rope_parameters": PLAIN},
    "qwen3_tied": {
        "model_type": "qwen3",
        "rope_parameters": PLAIN | {"rope_theta": 1e6},
        "tie_word_embeddings": True,
        "head_dim": 8,
    },
}


def tokens() -> np.ndarray:
    return np.random.default_rng(1).integers(0, SIZES["vocab_size"], (2, 40))


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Every tensor by name, drawn in the order of the names."""
    rng = np.random.default_rng(0)
    out = {}
    for name in sorted(shapes):
        value = rng.normal(0, 0.3, shapes[name]).astype(np.float32)
        out[name] = value + 1 if name.endswith("norm.weight") else value
    return out


def build(case: str):
    """(`transformers`' model of a case, shapes of its tensors by name)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    document = SIZES | CASES[case]
    kwargs = {k: v for k, v in document.items() if k != "model_type"}
    config = AutoConfig.for_model(document["model_type"], **kwargs)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    tied = document.get("tie_word_embeddings", False)
    shapes = {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    drawn = {k: torch.from_numpy(v) for k, v in weights(shapes).items()}
    model.load_state_dict(drawn, strict=not tied)
    return model, shapes


def main() -> None:
    import torch

    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        model, shapes = build(case)
        with torch.no_grad():
            logits = model(torch.from_numpy(tokens())).logits.numpy()
        np.save(FOLDER / f"{case}.npy", logits.astype(np.float32))
        document = {"config": SIZES | CASES[case], "shapes": shapes}
        (FOLDER / f"{case}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
