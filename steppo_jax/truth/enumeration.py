"""Every episode that can happen, with its probability: expectations without noise."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from steppo_jax.truth.mdp import Mdp, probabilities
from steppo_jax.truth.rollouts import Rollouts


def all_episodes(
    mdp: Mdp, logits: np.ndarray, most: int = 300_000
) -> tuple[Rollouts, np.ndarray]:
    """(episodes, probability [N]) of everything that can happen up to the limit.

    Every episode is a group of its own. Raises ValueError above `most` episodes,
    before they fill the memory.
    """
    steps = _all_steps(mdp, logits)
    # [N] and [N, t] so far: one row for each beginning of an episode
    at, chance = np.flatnonzero(mdp.start), mdp.start[mdp.start > 0]
    path = np.zeros((len(at), 0), int)
    for _ in range(mdp.max_steps):
        follows = [steps.after(state) for state in at]
        count = np.array([len(f) for f in follows])
        if count.sum() > most:
            raise ValueError(
                f"{mdp.name} has more than {most} episodes: lower max_steps or the "
                "length of responses, or sample"
            )
        chosen = np.concatenate(follows)
        path = np.c_[np.repeat(path, count, 0), chosen]
        chance = np.repeat(chance, count) * steps.chance[chosen]
        at = steps.next_state[chosen]
    live = path != steps.nothing
    rollouts = Rollouts(
        state=jnp.asarray(np.where(live, steps.state[path], 0)),
        next_state=jnp.asarray(steps.next_state[path]),
        reward=jnp.asarray(steps.reward[path]),
        node=jnp.asarray(steps.node[path]),
        token=jnp.asarray(steps.token[path]),
        said=jnp.asarray(steps.said[path]),
        live=jnp.asarray(live),
        group=jnp.arange(len(path)),
    )
    return rollouts, chance


class _all_steps:
    """One row for every (state, response, next state); the last row is no step."""

    def __init__(self, mdp: Mdp, logits: np.ndarray):
        tree, policy = mdp.language, probabilities(logits, mdp.language)
        L, rows = tree.longest, []
        for state in range(mdp.num_states):
            for response, action in tree.responses().items():
                nodes, chance = [0], 1.0
                for token in response:
                    chance *= policy[state, nodes[-1], token]
                    nodes.append(int(tree.child[nodes[-1], token]))
                pad = [0] * (L - len(response))
                for after in np.flatnonzero(mdp.transition[state, action]):
                    rows.append(
                        (
                            state,
                            after,
                            chance * mdp.transition[state, action, after],
                            mdp.reward[state, action, after],
                            [*nodes[:-1], *pad],
                            [*response, *pad],
                            [i < len(response) for i in range(L)],
                        )
                    )
        end = mdp.num_states
        rows.append((end, end, 1.0, 0.0, [0] * L, [0] * L, [False] * L))
        self.nothing = len(rows) - 1
        columns = map(np.array, zip(*rows))
        (
            self.state,
            self.next_state,
            self.chance,
            self.reward,
            self.node,
            self.token,
            self.said,
        ) = columns

    def after(self, state: int) -> np.ndarray:
        """Rows of the steps that start in `state`."""
        return np.flatnonzero(self.state == state)
