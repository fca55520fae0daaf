"""Episodes of a run for its page: text, and the advantage of every step."""

from __future__ import annotations

import pathlib
from typing import Any

import ml_collections

from steppo_jax import records, recredit, trajectories
from steppo_jax.recredit import Recredit

MOST = 8  # episodes of a file
TRAINED = "as trained"


def files(workdir: pathlib.Path) -> list[pathlib.Path]:
    """The first and the last file of a run."""
    paths = sorted((workdir / trajectories.FOLDER).glob("*.jsonl"))
    return [paths[0], paths[-1]] if len(paths) > 1 else paths


def of_run(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> dict[str, Any]:
    """What the template needs.

    `batches`: iteration and episodes as stored, each step with its words. `estimators`:
    name, line and `scale`. `numbers`: per batch, estimator, episode: [advantage of each
    step], and of each token where the estimator has them; nothing but numbers, for
    the script of the page.
    """
    batches, numbers, names, left_out = [], [], {}, {}
    for path in files(workdir):
        episodes = records.read(path)
        found, left_out = recredit.of_episodes(episodes, config)
        trained = [[s["advantage"] for s in e["steps"]] for e in episodes]
        as_trained = Recredit(
            TRAINED, "normalised over the whole batch", True, trained, None
        )
        found = [as_trained, *found]
        numbers.append([_numbers(one) for one in found])
        names |= {one.estimator: _line(one) for one in found}
        batches.append(
            {
                "iteration": int(path.stem),
                "episodes": [_shown(e) for e in episodes[:MOST]],
            }
        )
    return {
        "batches": batches,
        "numbers": numbers,
        "estimators": list(names.items()),
        "left_out": sorted(left_out.items()),
        "has_critic": config.critic.kind != "none",
    }


def _line(one: Recredit) -> str:
    """The name in the switch."""
    settings = f" ({one.settings})" if one.settings else ""
    own = ", this run’s" if one.own and one.estimator != TRAINED else ""
    return f"{one.estimator}{own}{settings}"


def _numbers(one: Recredit) -> dict[str, Any]:
    steps = [[_short(a) for a in episode] for episode in one.steps[:MOST]]
    tokens = one.tokens and [
        [[_short(a) for a in step] for step in episode] for episode in one.tokens[:MOST]
    ]
    largest = max((abs(a) for episode in steps for a in episode), default=0.0)
    return {"steps": steps, "tokens": tokens, "scale": largest or 1.0}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _shown(episode: recredit.Episode) -> dict[str, Any]:
    task = (episode["steps"][0]["observation"].splitlines() or [""])[0]
    steps = []
    for step in episode["steps"]:
        words = step["response"].split()
        values = step.get("token_value")
        steps.append(
            {
                "observation": _flowing(step["observation"], task),
                "words": words,
                # Coloured one by one only where a word is a token.
                "whole": len(words) == recredit.num_tokens(step),
                "reward": step["reward"],
                "value": values[0] if values else step["value"],
            }
        )
    return {
        "task": task,
        "return": episode["return"],
        "end": "ended by the task" if episode["terminated"] else "cut by the limit",
        "steps": steps,
    }


def _flowing(observation: str, task: str) -> str:
    """The lines one after the other, without the task, which heads the episode."""
    lines = observation.splitlines()
    kept = lines[1:] if lines[:1] == [task] else lines
    return " ".join(x if x[-1:] in ".:;,!?" else f"{x} ·" for x in kept).rstrip(" ·")
