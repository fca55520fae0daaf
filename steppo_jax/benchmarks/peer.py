"""`transformers` with PyTorch beside the same work of ours, in a process of its own.

Run by an interpreter that has both; jax is not imported. It reads one word a line and
answers each with a line of JSON: seconds on the wall and of the CPU. So the caller can
take turns with it, and no thread of the one waits inside the other.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from steppo_jax.errors import Refused

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RATE = 1e-5  # of AdamW on both sides


class Peer:
    """The caller's end."""

    def __init__(self, python: str, folder: pathlib.Path, **numbers: int):
        words = [f"{name}={value}" for name, value in numbers.items()]
        self._process = subprocess.Popen(
            [python, __file__, str(folder), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        self.about = self._answer(python)

    def _answer(self, python: str) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise Refused(
                f"--peer={python} ended with code {self._process.wait()}; it must be a "
                "Python with torch and transformers (its own words are above)"
            )
        return json.loads(line)

    def time(self, job: str) -> dict[str, float]:
        """Does "prefill", "decode" or "train" once."""
        self._process.stdin.write(job + "\n")
        self._process.stdin.flush()
        return self._answer(self._process.args[0])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def serve(folder: str, slots: int, prompt: int, steps: int, rows: int, threads: int):
    """The peer's end: loads the model, then does what the lines ask for."""
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
    print(json.dumps(versions | {"threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        jobs[line.strip()]()
        took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    given = dict(word.split("=") for word in sys.argv[2:])
    serve(sys.argv[1], **{name: int(value) for name, value in given.items()})
