"""Writes tests/weights/reference/greedy_*.npz: what `transformers` says to 200 prompts
when it always takes the likeliest token. Needs torch and transformers; run by hand:

    python -m tests.weights.make_greedy
    python -m tests.weights.make_greedy SmolLM2-135M-Instruct.Q4_1.gguf

The first writes the random small models of `make_reference`, whose prompts are drawn by
`numpy`; the second the model of a GGUF file, with its prompts as ids.
"""

import itertools
import pathlib
import sys

import numpy as np

from tests.weights.make_reference import CASES, FOLDER, SIZES, build

COUNT, NEW = 200, 16
ENDED = -1  # stands after the end of a response
QUESTIONS = (
    "What is {}?",
    "Write one sentence about {}.",
    "Where can I find {}?",
    "Name three facts about {}.",
    "Is {} old?",
    "Explain {} to a child.",
    "How much does {} cost?",
    "Translate '{}' to French.",
)
THINGS = (
    "a red apple",
    "the river Rhine",
    "a bicycle",
    "copper",
    "the moon",
    "chess",
    "my neighbour's dog",
    "a wooden table",
    "rain",
    "the number 17",
    "Paris",
    "a violin",
    "sleep",
    "yeast",
    "a map",
    "the year 1969",
    "gravity",
    "a kettle",
    "honey",
    "the letter q",
    "a passport",
    "salt",
    "an owl",
    "fog",
    "a ladder",
)


def prompts() -> list[list[int]]:
    """Ids of the random models' prompts, 3 to 12 tokens long."""
    rng = np.random.default_rng(2)
    lengths = rng.integers(3, 13, COUNT)
    return [rng.integers(0, SIZES["vocab_size"], n).tolist() for n in lengths]


def say(model, given: list[list[int]]) -> tuple[np.ndarray, float]:
    """([COUNT, NEW] tokens, ENDED after the end; smallest lead of a chosen logit)."""
    import torch

    out, lead = np.full((len(given), NEW), ENDED, np.int32), np.inf
    stop = model.generation_config.eos_token_id
    by_length: dict[int, list[int]] = {}
    for place, ids in enumerate(given):
        by_length.setdefault(len(ids), []).append(place)
    for length, places in by_length.items():  # together without padding
        ids = torch.tensor([given[i] for i in places])
        found = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=NEW,
            pad_token_id=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
        new = found.sequences[:, length:].numpy()
        over = np.cumsum(new == stop, axis=1) - (new == stop) > 0
        out[places, : new.shape[1]] = np.where(over, ENDED, new)
        for i, logits in enumerate(found.logits):
            first, second = logits.topk(2).values.T
            lead = min(lead, (first - second).numpy()[~over[:, i]].min(initial=lead))
    return out, lead


def main(arguments: list[str]) -> None:
    if arguments:
        of_file(pathlib.Path(arguments[0]))
        return
    for case in CASES:
        model, _ = build(case)
        model.generation_config.eos_token_id = None
        token, lead = say(model, prompts())
        np.savez_compressed(FOLDER / f"greedy_{case}.npz", token=token.astype(np.uint8))
        print(case, "smallest lead", lead)


def of_file(path: pathlib.Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    texts = [q.format(t) for q, t in itertools.product(QUESTIONS, THINGS)]
    assert len(texts) == COUNT
    given = []
    for text in texts:
        said = [{"role": "user", "content": text}]
        rendered = tokenizer.apply_chat_template(
            said, tokenize=False, add_generation_prompt=True
        )
        given.append(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    token, lead = say(model, given)
    length = np.array([len(ids) for ids in given], np.int32)
    np.savez_compressed(
        FOLDER / "greedy_smollm2.npz",
        prompt=np.concatenate(given).astype(np.uint16),
        length=length,
        token=token,
    )
    print(path.name, "smallest lead", lead)


if __name__ == "__main__":
    main(sys.argv[1:])
