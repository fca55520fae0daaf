"""From played text episodes to the two tables, layout `rows`: a step a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import layout
from steppo_jax.actor.rollout import Rollout
from steppo_jax.structs import Steps
from steppo_jax.text.episodes import Episode


def of_episodes(
    episodes: Sequence[Episode],
    max_steps: int,
    max_prompt: int,
    max_new: int,
    bootstrap: bool,
) -> Rollout:
    """N episodes as a rollout of N·max_steps rows, those not played invalid.

    Args:
      bootstrap: keep the prompts of states that a limit cut off, for their values.
    """
    N, B = len(episodes), len(episodes) * max_steps
    column = {
        "reward": np.zeros(B, np.float32),
        "state_key": np.zeros(B, np.uint32),
        "terminated": np.zeros(B, bool),
        "truncated": np.zeros(B, bool),
        "valid": np.zeros(B, bool),
    }
    prompt, prompt_length = np.zeros((B, max_prompt), np.int32), np.zeros(B, np.int32)
    response = np.zeros((B, max_new), np.int32)
    said = np.zeros((B, max_new), bool)
    log_prob = np.zeros((B, max_new), np.float32)
    version = np.zeros((B, max_prompt + max_new), np.int32)
    for n, episode in enumerate(episodes):
        for t, turn in enumerate(episode.turns):
            b, P, R = n * max_steps + t, len(turn.prompt), len(turn.token)
            for name in ("reward", "state_key", "terminated", "truncated"):
                column[name][b] = getattr(turn, name)
            column["valid"][b] = True
            prompt[b, :P], prompt_length[b] = turn.prompt, P
            response[b, :R], said[b, :R] = turn.token, True
            log_prob[b, :R] = turn.log_prob
            version[b, P : P + R] = turn.policy_version
    index = np.tile(np.arange(max_steps, dtype=np.int32), N)

    def per_row(name: str) -> np.ndarray:
        values = [getattr(episode.job, name) for episode in episodes]
        return np.repeat(np.asarray(values, np.int32), max_steps)

    steps = Steps(
        **column,
        traj_id=per_row("traj_id"),
        step_index=index,
        group_id=per_row("group_id"),
        branch_advantage=np.full(B, np.nan, np.float32),  # never measured in text
    )
    after = _cut_states(episodes, max_steps, max_prompt) if bootstrap else {}
    tokens = layout.rows(
        prompt, response, said, log_prob, version, prompt_length, **after
    )
    return Rollout(
        steps=jax.tree.map(jnp.asarray, steps), tokens=tokens, outcome=outcome(episodes)
    )


def _cut_states(episodes: Sequence[Episode], max_steps: int, max_prompt: int) -> dict:
    """The prompts beyond a limit, [N, P], and the row each follows, −1 for none."""
    N = len(episodes)
    prompt = np.zeros((N, max_prompt), np.int32)
    length, row = np.zeros(N, np.int32), np.full(N, -1, np.int32)
    for n, episode in enumerate(episodes):
        if episode.next_prompt is not None:
            length[n] = len(episode.next_prompt)
            prompt[n, : length[n]] = episode.next_prompt
            row[n] = n * max_steps + len(episode.turns) - 1
    return {"next_prompt_NP": prompt, "next_row_of_N": row, "next_length_N": length}


def outcome(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """[N] each: the environment's metrics, return, steps and tokens of an episode."""
    names = sorted({name for episode in episodes for name in episode.outcome})
    columns = {
        name: [episode.outcome.get(name, np.nan) for episode in episodes]
        for name in names
    }
    columns["return"] = [sum(t.reward for t in e.turns) for e in episodes]
    columns["steps"] = [len(e.turns) for e in episodes]
    columns["tokens"] = [sum(len(t.token) for t in e.turns) for e in episodes]
    return {name: np.asarray(x, np.float32) for name, x in columns.items()}
