"""Measures how long the parts take, each beside a bound from the same run.

    python -m experiments.benchmark --what=credit
    python -m experiments.benchmark --what=credit --repeats=21 [--peer=PYTHON]
    python -m experiments.benchmark --what=env
    python -m experiments.benchmark --what=model --model=FILE.gguf [--peer=PYTHON]
    python -m experiments.benchmark --what=iteration [--config=FILE.py:METHOD]
    python -m experiments.benchmark --what=tunix --peer=PYTHON
    python -m experiments.benchmark --what=layouts

`credit`: every estimator at 1,424 rows × 1,024 tokens, as a multiple of one pass
that reads the same arrays and writes as many, and its share of an iteration of the
default run at that run's own size; with --peer, step and token GAE beside the official
way in PyTorch, in turns. `env`: steps per second of every environment
alone, under random responses, and its share of a rollout of its default policy.
`model`: prefill, decoding and a training step of a language model, beside each other,
beside its own matrix products and, with --peer, beside `transformers` with PyTorch.
`rollout`, `update`, `iteration`: the parts of a run beside the products of its
networks; the default run unless --config is given. `layouts`: an update in layout rows,
packed and merged, of the default run and of append-only episodes of 10 steps.
`tunix`: iterations of GRPO and PPO on random prompts beside google-tunix's. `all`:
rollout, update, iteration and credit.
Prints a table for people, and one JSON line with versions, devices and commit.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from configs import household
from experiments import devices, entry
from steppo_jax import envs, provenance, records, settings
from steppo_jax.benchmarks import (
    credit,
    credit_peer,
    environment,
    layouts,
    model,
    parts,
    share,
    sizes,
    tables,
    tunix_peer,
)
from steppo_jax.errors import Refused

WHAT = flags.DEFINE_enum(
    "what",
    None,
    ["credit", "env", "model", "layouts", "tunix", *parts.PARTS, "all"],
    "credit, env, model, layouts, tunix, rollout, update, iteration or all, what to "
    "measure.",
)
REPEATS = flags.DEFINE_integer(
    "repeats", 11, "Timings of each call; the median counts.", lower_bound=3
)
MODEL = flags.DEFINE_string(
    "model",
    "smollm2_135m",
    "Of --what=model: a .gguf file, the folder of a checkpoint, or random weights of "
    f"{', '.join(sizes.SIZES)}.",
)
DTYPE = flags.DEFINE_enum(
    "dtype", "float32", ["float32", "bfloat16"], "Of the model's work and weights."
)
PEER = flags.DEFINE_string(
    "peer",
    None,
    "A Python to take turns with: for --what=credit one with torch, for model with "
    "torch and transformers, for tunix with google-tunix.",
)
SLOTS = flags.DEFINE_integer("slots", 32, "Slots decoded together.", lower_bound=1)
PROMPT = flags.DEFINE_integer("prompt", 128, "Tokens of a prompt.", lower_bound=2)
STEPS = flags.DEFINE_integer("steps", 8, "Tokens decoded by a slot.", lower_bound=1)
ROWS = flags.DEFINE_integer(
    "rows", 4, "Prompts read, and rows trained on; at most --slots.", lower_bound=1
)
CONFIG = entry.define_config()


def show(rows: list[dict]) -> Table:
    """The table for people; times in milliseconds."""
    table = Table(title="Credit (median of the repeats; spread: between quartiles)")
    for name in ("call", "ms", "spread", "CPU ms", "× pass", "limit"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        times = (row[x] * 1e3 for x in ("seconds", "spread", "cpu_seconds"))
        limit = "" if row["limit"] is None else f"{row['limit']:.0f}"
        if row["limit"] is not None and row["ratio"] > row["limit"]:
            limit += " missed"
        cells = [f"{x:.2f}" for x in (*times, row["ratio"])]
        table.add_row(row["call"], *cells, limit)
    return table


def show_shares(rows: list[dict]) -> Table:
    """Shares of an iteration of the default run; times in milliseconds."""
    table = Table(title="Credit in the default run (its own size, one device)")
    for name in ("call", "ms", "spread", "CPU ms", "share", "limit"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        times = (row[x] * 1e3 for x in ("seconds", "spread", "cpu_seconds"))
        limit = "" if row["limit"] is None else f"{row['limit']:.0%}"
        if row["limit"] is not None and row["share"] > row["limit"]:
            limit += " missed"
        cells = [f"{x:.2f}" for x in times]
        table.add_row(row["call"], *cells, f"{row['share']:.2%}", limit)
    return table


def show_environments(rows: list[dict]) -> Table:
    """Steps per second, and shares of a rollout."""
    table = Table(title="Environments (random responses; medians)")
    for name in ("name", "devices", "steps/s", "spread", "share of a rollout"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        slow = " missed" if row["steps_per_second"] < row["least"] else ""
        large = " missed" if row["share"] > row["most"] else ""
        table.add_row(
            row["environment"],
            str(row["devices"]),
            f"{row['steps_per_second']:,.0f}{slow}",
            f"{row['spread']:.0%}",
            f"{row['share']:.1%}{large}",
        )
    return table


def of_credit(repeats: int) -> dict[str, Any]:
    rows = credit.run(repeats)
    Console().print(show(rows))
    default = household.get_config("steppo")
    default.devices = 1
    shares = share.run(default, repeats)
    Console().print(show_shares(shares))
    if PEER.value is None:
        return {"rows": rows, "shares": shares}
    beside = credit_peer.run(PEER.value, repeats)
    Console(width=tables.WIDTH).print(tables.of_credit_peer(beside))
    return {"rows": rows, "shares": shares, "beside": beside}


def of_environments(repeats: int) -> dict[str, Any]:
    files = [importlib.import_module(f"configs.{name}") for name in envs.names()]
    configs = [file.get_config("steppo") for file in files]
    for config in configs:
        devices.settle(config)
    rows = [environment.measure(config, repeats) for config in configs]
    Console().print(show_environments(rows))
    return {"rows": rows}


def of_model(repeats: int) -> dict[str, Any]:
    if ROWS.value > SLOTS.value:
        raise Refused(
            f"--rows={ROWS.value} is more than --slots={SLOTS.value}: prompts are read "
            "into slots; raise --slots"
        )
    work = model.Work(SLOTS.value, PROMPT.value, STEPS.value, ROWS.value)
    found = model.run(MODEL.value, DTYPE.value, repeats, work, PEER.value)
    Console(width=tables.WIDTH).print(tables.of_model(found))
    return found


def of_parts(*names: str) -> Callable[[int], dict[str, Any]]:
    def measure(repeats: int) -> dict[str, Any]:
        config = CONFIG.value or household.get_config("steppo")
        settings.check(config)
        if config.lm.weights is not None:
            raise Refused(
                f"lm.weights={config.lm.weights}: a language model plays on the host, "
                "whose rollout is no program; measure it with --what=model"
            )
        devices.settle(config)
        found = parts.run(config, repeats, names)
        Console(width=tables.WIDTH).print(tables.of_parts(found))
        return found

    return measure


# Argument of configs/household.py and learner.width: the default run, and long episodes
# whose steps continue each other.
APPEND = "steppo,context.policy=append,env.max_steps=10,warm_start.expert_noise=1"
LAYOUTS = (("steppo", household.PACKED["learner.width"]), (APPEND, None))


def of_layouts(repeats: int) -> dict[str, Any]:
    found = []
    for words, width in LAYOUTS:
        config = household.get_config(words)
        config.devices = 1
        found.append(layouts.run(config, width, repeats))
        Console(width=tables.WIDTH).print(layouts.show(found[-1]))
    return {"batches": found}


def of_tunix(repeats: int) -> dict[str, Any]:
    if PEER.value is None:
        raise Refused(
            "--what=tunix stands beside google-tunix: give --peer=PYTHON, an "
            "interpreter that has it"
        )
    found = tunix_peer.run(PEER.value, repeats, tunix_peer.Work())
    Console(width=tables.WIDTH).print(tables.of_tunix(found))
    return found


def of_all(repeats: int) -> dict[str, Any]:
    """Parts first: they settle how many devices there are."""
    return {"parts": of_parts(*parts.PARTS)(repeats), "credit": of_credit(repeats)}


MEASURES = {
    "credit": of_credit,
    "env": of_environments,
    "model": of_model,
    "layouts": of_layouts,
    "tunix": of_tunix,
    **{name: of_parts(name) for name in parts.PARTS},
    "all": of_all,
}


def main() -> None:
    commit = provenance.git_commit()  # before the code can change under the run
    measured = MEASURES[WHAT.value](REPEATS.value)
    command = " ".join(["python -m experiments.benchmark", *sys.argv[1:]])
    origin = {**provenance.machine(), "commit": commit}
    record = {"command": command, "what": WHAT.value, **origin, **measured}
    print(records.dumps(record))


if __name__ == "__main__":
    entry.launch(main, "what")
