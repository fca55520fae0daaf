"""Run records that nobody ran: outcomes drawn from given rates."""

from __future__ import annotations

import numpy as np

from configs import household
from steppo_jax import metrics, settings
from steppo_jax.study.run import Evaluation, Run

TASKS = 40


def run(
    method: str = "steppo",
    seed: int = 0,
    rate: float = 0.5,
    *,
    cell: str | None = None,
    environment: str = "household",
    seconds: float = 1.0,
    length: float = 6.0,
    iterations: int = 20,
    episodes: tuple = (),
    **fields,
) -> Run:
    """A run of a preset whose success rises to `rate`; `a__b=x` sets field a.b."""
    config = household.get_config(f"{method},iterations={iterations}")
    values = settings.flat(config) | {"seed": seed, "env.name": environment}
    values |= {name.replace("__", "."): x for name, x in fields.items()}
    values["preset"] = f"{environment}:{method}"
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    rng = np.random.default_rng([seed, 7])
    golden = 2.0 + np.arange(TASKS) % 5
    played = []
    for panel in ("seen", "unseen"):
        for done, at in ((0, 0.1), (iterations, rate)):
            success = (rng.random(TASKS) < at - 0.02 * (golden - 4)).astype(float)
            columns = {
                "success": success,
                "return": success,
                "golden_steps": golden,
                "steps": np.where(
                    success > 0, golden + rng.integers(0, 4, TASKS), 20.0
                ),
                "tokens": np.full(TASKS, 60.0),
            }
            columns = dict(sorted(columns.items()))
            played.append(Evaluation(panel, done, "sampled", 0, columns))
    done = np.arange(1, iterations + 1) / iterations
    numbers = {
        metrics.SUCCESS: 0.1 + (rate - 0.1) * done,
        "time/rollout_seconds": np.full(iterations, seconds / 4),
        "time/update_seconds": np.full(iterations, 3 * seconds / 4),
    }
    if values["critic.kind"] != "none":
        numbers |= {
            "critic/loss": 0.1 / (1 + done),
            metrics.EXPLAINED_VARIANCE: done / 2,
        }
    steps = 64.0 * 12 * iterations
    return Run(
        cell=cell or method,
        settings=values,
        origin={
            "environment_version": "2",
            "commit": "0123456789abcdef",
            "edited": False,
            "packages": {"jax": "0.10.2"},
            "python": "3.11.7",
            "devices": ["cpu"],
        },
        every=1,
        metrics=dict(sorted(numbers.items())),
        totals={
            "episodes": 64.0 * iterations,
            "data/steps": steps,
            "data/tokens": steps * length,
            "time/rollout_seconds": seconds / 4 * iterations,
            "time/update_seconds": 3 * seconds / 4 * iterations,
            "time/rollout_seconds/median": seconds / 4,
            "time/update_seconds/median": 3 * seconds / 4,
        },
        evaluations=tuple(played),
        episodes=episodes,
    )


def seeds(count: int, *args, **kwargs) -> list[Run]:
    """The same cell with seeds 0, 1, …"""
    return [run(*args, seed=seed, **kwargs) for seed in range(count)]


def square() -> list[Run]:
    """Credit × ratio, three seeds."""
    found = []
    for method, credit in (("steppo", "step"), ("ppo", "token")):
        for ratio, clip in (("step", 0.03), ("token", 0.2)):
            found += seeds(
                3,
                method,
                rate=0.5 + 0.2 * (credit == "step"),
                cell=f"{credit}-{ratio}",
                objective__ratio=ratio,
                objective__clip_low=clip,
                objective__clip_high=clip,
            )
    return found


def discounts() -> list[Run]:
    """γ × λ for both credits, two seeds."""
    return [
        each
        for method in ("steppo", "ppo")
        for gamma in (0.9, 0.99)
        for lam in (0.8, 0.95)
        for each in seeds(
            2,
            method,
            rate=0.3 + 0.4 * (gamma == 0.99) + 0.1 * (method == "steppo"),
            cell=f"{method}-{gamma}-{lam}",
            credit__gamma=gamma,
            credit__lam=lam,
        )
    ]


def lengths() -> list[Run]:
    """Fixed, matched and best (γ, λ) at 0 and 32 thought tokens, three seeds."""
    found = []
    for think, length in ((0, 4.0), (32, 30.0)):
        more = {"env__think_tokens": think, "length": length}
        found += seeds(3, "steppo", rate=0.7, cell=f"step-{think}", **more)
        found += seeds(
            3, "steppo", rate=0.75, cell=f"step-1-{think}", credit__gamma=1.0, **more
        )
        found += seeds(3, "ppo", rate=0.7 - 0.01 * think, cell=f"token-{think}", **more)
        matched = {
            "credit__gamma": 0.99 ** (1 / length),
            "credit__lam": 0.95 ** (1 / length),
        }
        found += seeds(
            3, "ppo", rate=0.68, cell=f"token-matched-{think}", **matched, **more
        )
    return found


def group_sizes() -> list[Run]:
    """Group sizes 4 and 8 of two methods, and two step limits of one."""
    found = []
    for size in (4, 8):
        more = {"rollout__group_size": size, "rollout__groups": 64 // size}
        for method in ("grpo", "gigpo"):
            found += seeds(
                2,
                method,
                rate=0.05 * size,
                cell=f"{method}-{size}",
                seconds=size / 4,
                **more,
            )
    for limit in (10, 20):
        found += seeds(
            2, "steppo", rate=0.03 * limit, cell=f"s-{limit}", env__max_steps=limit
        )
    return found
