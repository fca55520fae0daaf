"""`transformers` with PyTorch: prefill, decoding and training of a checkpoint.

Run by an interpreter that has both (benchmarks/peer.py); jax is not imported.
"""

from __future__ import annotations

import sys

from steppo_jax.benchmarks import peer

RATE = 1e-5  # of AdamW, as in benchmarks/model.py


def run(folder: str, slots: int, prompt: int, steps: int, rows: int, threads: int):
    """Loads the model, then does what it is asked for."""
    import torch
    import transformers

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    words = model.config.vocab_size
    ids = torch.randint(1, words, (slots, prompt))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    cache = transformers.DynamicCache()

    @torch.no_grad()
    def prefill():  # one prompt after the other, as ours reads them
        for i in range(rows):
            fresh = transformers.DynamicCache()
            model(ids[i : i + 1], past_key_values=fresh, logits_to_keep=1)

    @torch.no_grad()
    def decode():
        model.eval()
        if cache.get_seq_length() == 0:
            model(ids, past_key_values=cache, logits_to_keep=1)
        token = ids[:, -1:]
        for _ in range(steps):
            out = model(token, past_key_values=cache)
            chance = torch.softmax(out.logits[:, -1].float(), -1)
            token = torch.multinomial(chance, 1)
            chance.gather(1, token).log()
        cache.crop(-steps)  # so that the next call starts from the prompt again

    def train():
        batch = ids[:rows]
        optimizer.zero_grad(set_to_none=True)
        model(batch, labels=batch).loss.backward()
        optimizer.step()

    jobs = {"prefill": prefill, "decode": decode, "train": train}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    peer.serve(jobs, versions | {"threads": torch.get_num_threads()})


if __name__ == "__main__":
    run(sys.argv[1], **peer.numbers())
