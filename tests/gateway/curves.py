"""Learning curves of one task: through the gateway, and by the rollout in the process.

    python -m tests.gateway.curves --out=DIR --seeds=4 --iterations=8

A random two-layer model is to use words with an "o"; a step that has one is paid 1, an
episode of two such steps succeeds. Through the gateway it is played by threads that
open whatever trajectory is free. Every number of an iteration is played by somebody,
and all have the same task, so the rows are the rollout's in whatever order they come:
the curves of a seed should be equal, not only near. Printed are mean success per
stretch of iterations, over seeds with its standard error, and paired differences.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import pathlib
import statistics
import threading
import time
from typing import ClassVar

import httpx2

from configs import hosts as host_configs
from steppo_jax import assembly, hosts, records, settings, train
from steppo_jax.gateway import run
from tests.gateway import made
from tests.text import tiny

STRETCHES = 4
SETTINGS = (
    "lm.max_prompt=100",
    "lm.max_new=4",
    "lm.slots=16",
    "host.workers=2",
    "env.max_steps=2",
    "rollout.groups=8",
    "rollout.group_size=4",
    "learner.microbatch=32",
    "learner.minibatches=2",
    "policy.learning_rate=0.02",
    "eval.episodes=1",
    "eval.panels=test",
    "checkpoint.every=1000",
    "trajectories=0",
    "devices=1",
    "gateway.staleness=0",
    "gateway.idle_seconds=60",
    "gateway.calls=64",
)


class Letters:
    """Two turns; each is paid where what is said has an "o"."""

    instructions = "Use the letter."

    def reset(self, *, seed=None, options=None):
        self.turn, self.found = 0, 0
        return self._seen()

    def step(self, action):
        right = "o" in action
        self.turn, self.found = self.turn + 1, self.found + right
        return self._seen()[0], float(right), self.turn == 2, False, self._seen()[1]

    def _seen(self):
        info = {"expert": "on", "commands": ["on"]}
        info["outcome"] = {"success": float(self.found == 2)}
        return f"Turn {self.turn}.", info


@dataclasses.dataclass(frozen=True)
class LettersFamily:
    name: ClassVar[str] = "letters"
    panels: ClassVar[tuple[str, ...]] = ("train", "test")
    has_expert: ClassVar[bool] = True
    version: ClassVar[str] = "1"
    instructions: ClassVar[str] = Letters.instructions

    max_steps: int = 2
    on_time_limit: str = "terminal"
    think_tokens: int = 0

    def check(self):
        pass

    def size(self, panel):
        return 12

    def golden_steps(self, panel, task):
        return 2

    def make(self):
        return Letters()


def config(folder: pathlib.Path, seed: int, iterations: int):
    """A run of the task with the model in a folder."""
    hosts._REGISTRY["letters"] = "tests.gateway.curves:LettersFamily"
    words = [*SETTINGS, f"seed={seed}", f"iterations={iterations}"]
    said = ",".join(["grpo", "smoke", f"model={folder}", *words])
    fields = {"env.tools": None, "eval.panels": ("test",)}
    found = host_configs.build("letters", said, fields=fields)
    settings.check(found)
    return found


def play(client: httpx2.Client, group: str) -> None:
    """One episode. Raises TransportError when the gateway is gone."""
    env = Letters()
    seen, _ = env.reset()
    given = {"task": "letters", "group": group}
    while (made_ := client.post("/v1/trajectories", json=given)).status_code != 201:
        time.sleep(0.05)
    at, over = made_.json()["base_url"], False
    while not over:
        rules = {"role": "system", "content": env.instructions}
        answer = made.chat(client, [rules, {"role": "user", "content": seen}], at)
        said = answer.json()["choices"][0]["message"]["content"]
        seen, reward, over, _, info = env.step(said)
        client.post(f"{at}/reward", json={"reward": reward})
    end = {"end": "terminated", "outcome": info["outcome"]}
    client.post(f"{at}/close", json=end)


def outside(settled, workdir: pathlib.Path) -> list[float]:
    """Success of every iteration, played by threads through the gateway."""
    numbers, players = itertools.count(), []

    def harness(url: str) -> None:
        with httpx2.Client(base_url=url, timeout=60) as client:
            try:
                while True:
                    group = f"g{next(numbers)}"
                    for _ in range(settled.rollout.group_size):
                        play(client, group)
            except (httpx2.TransportError, KeyError):
                return  # the run is over

    def tell(text: str) -> None:
        if "http://" in text:
            url = text.partition(" at ")[2].removesuffix("/v1")
            for _ in range(settled.rollout.groups):
                players.append(threading.Thread(target=harness, args=(url,)))
                players[-1].start()

    run.run(settled, workdir, port=0, tell=tell)
    for player in players:
        player.join()
    return success(workdir)


def inside(settled, workdir: pathlib.Path) -> list[float]:
    """The same by the rollout in this process."""
    train.learn(assembly.build(settled), workdir)
    return success(workdir)


def success(workdir: pathlib.Path) -> list[float]:
    return [x["train/success"] for x in records.read(workdir / "metrics.jsonl")]


def stretches(curve: list[float]) -> list[float]:
    """Means over equal parts of a curve."""
    size = len(curve) // STRETCHES
    return [statistics.mean(curve[n * size :][:size]) for n in range(STRETCHES)]


def with_error(values: list[float]) -> str:
    mean = statistics.mean(values)
    return f"{mean:.3f} ± {statistics.stdev(values) / len(values) ** 0.5:.3f}"


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--out", type=pathlib.Path, required=True)
    flags.add_argument("--seeds", type=int, default=4)
    flags.add_argument("--iterations", type=int, default=8)
    given = flags.parse_args()
    model = tiny.write(given.out / "model")
    found: dict[str, list[list[float]]] = {"gateway": [], "process": []}
    for seed in range(given.seeds):
        settled = config(model, seed, given.iterations)
        for name, way in (("gateway", outside), ("process", inside)):
            curve = way(settled, given.out / f"{name}-{seed}")
            found[name].append(stretches(curve))
            print(f"{name} seed {seed}:", *(f"{x:.2f}" for x in curve), flush=True)
    size = given.iterations // STRETCHES
    print("| iterations | gateway | in the process | difference, paired |")
    print("|---|---|---|---|")
    for n in range(STRETCHES):
        ours, theirs = ([x[n] for x in found[name]] for name in found)
        differ = [a - b for a, b in zip(ours, theirs, strict=True)]
        part = f"{n * size}–{(n + 1) * size - 1}"
        told = map(with_error, (ours, theirs, differ))
        print(f"| {part} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
