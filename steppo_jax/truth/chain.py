"""`chain`: walk to the far end, thinking as long as one likes before each move.

    place 0 — 1 — … — n−1 — goal (reward 1, ends the episode)

A response is hm* MOVE, or hm* MOVE MOVE, or hm* MOVE "."; a MOVE is left or right
and the two add up. The first place has a wall; beyond the goal is the goal.
"""

from __future__ import annotations

import numpy as np

from steppo_jax.truth.language import Language, String, build
from steppo_jax.truth.mdp import Mdp, TimeLimit, uneven_logits

WORDS = (".", "hm", "left", "right")
END, HM, LEFT, RIGHT = range(4)
MOVES = (-2, -1, 0, 1, 2)  # what the actions 0 … 4 do


def chain(
    places: int = 3,
    max_steps: int = 5,
    most_thoughts: int = 2,
    least_thoughts: int = 0,
    slip: float = 0.1,
    on_time_limit: TimeLimit = "terminal",
) -> Mdp:
    """The tables. With probability `slip` nothing moves. Starts at 0 or 1."""
    transition = np.zeros((places, len(MOVES), places + 1))
    for place in range(places):
        for action, move in enumerate(MOVES):
            transition[place, action, np.clip(place + move, 0, places)] += 1 - slip
            transition[place, action, place] += slip
    reward = np.zeros_like(transition)
    reward[:, :, places] = 1.0
    start = np.zeros(places)
    start[:2] = 1 / min(places, 2)
    return Mdp(
        "chain",
        language(least_thoughts, most_thoughts),
        transition,
        reward,
        start,
        max_steps,
        on_time_limit,
    )


def language(least: int, most: int) -> Language:
    """From `least` to `most` thoughts, then one or two moves."""

    def moves_of(string: String) -> String:
        return tuple(token for token in string if token in (LEFT, RIGHT))

    def legal(prefix: String) -> tuple[int, ...]:
        if moves_of(prefix):
            return (END, LEFT, RIGHT)
        thought = (HM,) if len(prefix) < most else ()
        return thought + ((LEFT, RIGHT) if len(prefix) >= least else ())

    def means(string: String) -> int | None:
        moves = moves_of(string)
        if len(moves) < 2 and not (moves and string[-1] == END):
            return None
        return MOVES.index(sum(1 if move == RIGHT else -1 for move in moves))

    return build(WORDS, legal, means)


def thoughtful_logits(mdp: Mdp, spread: float = 1.0, tilt: float = 0.0) -> np.ndarray:
    """[S, K, V] every number of thoughts equally likely, moves uneven but the same
    however long the thought: what the agent does, J and its best are those of the
    chain without thoughts.

    After k of at most m thoughts, the log-odds of one more are log(m − k), plus
    `tilt` at the first place and minus `tilt` at the last.
    """
    tree = mdp.language
    thoughts = [HM] * (tree.longest - 2)
    moves_only = uneven_logits(chain(mdp.num_states, most_thoughts=0), spread)
    logits = np.zeros((mdp.num_states, tree.num_nodes, len(WORDS)))
    node, eager = 0, tilt * np.linspace(1, -1, mdp.num_states)
    for left in range(len(thoughts), -1, -1):
        logits[:, node] = moves_only[:, 0]
        moves = np.logaddexp(logits[:, node, LEFT], logits[:, node, RIGHT])
        if left:
            logits[:, node, HM] = moves + np.log(left) + eager
        for move, short in ((LEFT, 1), (RIGHT, 2)):
            if tree.child[node, move] >= 0:
                logits[:, tree.child[node, move]] = moves_only[:, short]
        node = tree.child[node, HM]
    return logits
