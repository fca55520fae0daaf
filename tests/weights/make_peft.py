"""Writes tests/weights/reference/peft_*: adapters that `peft` drew and saved for the
random small models of `make_reference`, and the logits with them. Needs torch,
transformers and peft; run by hand:

    python -m tests.weights.make_peft

With folders as arguments it checks files of ours instead: BASE and ADAPTER, loaded by
`peft`, against MERGED, loaded by `transformers`.
"""

import sys

import numpy as np

from tests.weights.make_reference import CASES, FOLDER, build, tokens

TARGETS = {
    "llama": ["q_proj", "v_proj"],  # what `peft` takes unless told
    "llama_scaled_tied": ["gate_proj", "up_proj", "down_proj"],
    "qwen2": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "qwen3_tied": "all-linear",
}


def main(arguments: list[str]) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    if arguments:
        check(*arguments)
        return
    ids = torch.from_numpy(tokens())
    for case in CASES:
        torch.manual_seed(0)
        model, _ = build(case)
        config = LoraConfig(
            r=2, lora_alpha=5, target_modules=TARGETS[case], task_type="CAUSAL_LM"
        )
        model = get_peft_model(model, config).eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "lora_B" in name:  # zero at the start
                    value.copy_(0.3 * torch.randn(value.shape))
            logits = model(ids).logits.numpy()
        folder = FOLDER / f"peft_{case}"
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        np.save(folder / "logits.npy", logits.astype(np.float32))


def check(base: str, adapter: str, merged: str) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def load(folder: str):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    with_them = PeftModel.from_pretrained(load(base), adapter)
    ids = torch.randint(
        0, with_them.config.vocab_size, (2, 40), generator=torch.manual_seed(1)
    )
    with torch.no_grad():
        one = with_them(ids).logits
        two = load(merged)(ids).logits
        before = load(base)(ids).logits
    moved, off = (one - before).abs().max(), (one - two).abs().max()
    print(
        f"largest logit {one.abs().max():.4g}; moved by {moved:.4g}; "
        f"merged weights and adapters differ by {off:.3g}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
