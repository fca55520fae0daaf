"""Episodes of a rollout as text, with what the learner made of each step."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping

import jax
import numpy as np

from steppo_jax import records
from steppo_jax.envs.base import Environment
from steppo_jax.structs import Steps, Tokens

FOLDER = "trajectories"


def as_text(
    env: Environment,
    steps: Steps,
    tokens: Tokens,
    seen: Mapping[str, np.ndarray],
    count: int,
) -> list[records.Record]:
    """The first `count` trajectories, one record each, steps in order.

    A step has observation, response (words), reward, value, advantage and how it
    ended; arrays are one device's or joined ones (row b in sequence b).
    """
    tokens = jax.tree.map(np.asarray, tokens)

    def words(row: int) -> tuple[str, str]:
        sequence, last = tokens.value_at[row]
        prompt = np.zeros(env.observation_length, np.int32)
        prompt[: last + 1] = tokens.token[sequence, : last + 1]
        response = tokens.token[sequence][tokens.step_id[sequence] == row]
        return env.describe(prompt), env.vocabulary.decode(response)

    return of_steps(steps, seen, count, words)


def of_steps(
    steps: Steps,
    seen: Mapping[str, np.ndarray],
    count: int,
    words: Callable[[int], tuple[str, str]],
) -> list[records.Record]:
    """As `as_text`; `words` gives (observation, response) of a row."""
    steps, seen = jax.tree.map(np.asarray, (steps, dict(seen)))
    episodes = []
    for traj in np.unique(steps.traj_id[steps.valid])[:count]:
        rows = np.flatnonzero(steps.valid & (steps.traj_id == traj))
        rows = rows[np.argsort(steps.step_index[rows])]
        episodes.append(
            {
                "trajectory": int(traj),
                "group": int(steps.group_id[rows[0]]),
                "return": float(steps.reward[rows].sum()),
                "terminated": bool(steps.terminated[rows[-1]]),
                "truncated": bool(steps.truncated[rows[-1]]),
                "steps": [_step(steps, seen, row, *words(row)) for row in rows],
            }
        )
    return episodes


def _step(steps, seen, row: int, observation: str, response: str) -> records.Record:
    return {
        "observation": observation,
        "response": response,
        "reward": float(steps.reward[row]),
        "value": float(seen["value"][row]),
        "advantage": float(seen["advantage"][row]),
    }


def write(
    workdir: pathlib.Path, iteration: int, episodes: list[records.Record]
) -> pathlib.Path:
    """trajectories/ITERATION.jsonl, one episode per line; replaces what was there."""
    path = workdir / FOLDER / f"{iteration:06}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(records.dumps(episode) + "\n" for episode in episodes)
    records.write_atomically(path, text)
    return path
