"""`key_door`: fetch a key from one room, open the door in the other.

Unlike `chain`: chance in every move, rewards on the way (some negative), an end
that is a failure, and free speech. Any string of up to three words is a response;
what is not one of the six commands does nothing and costs a little.
"""

from __future__ import annotations

import numpy as np

from steppo_jax.truth.language import Language, String, build
from steppo_jax.truth.mdp import Mdp, uneven_logits

WORDS = (".", "go", "use", "left", "right")
END = 0
LONGEST = 3
HALL, LEFT_ROOM, RIGHT_ROOM = range(3)  # + 3 with the key in hand
COMMANDS = {"go left": 0, "go right": 1, "use left": 2, "use right": 3, "go": 4}
NONSENSE = 5
DONE = 6


def key_door(max_steps: int = 6, slip: float = 0.2) -> Mdp:
    """The tables. A move fails with probability `slip`; the lock alarms at times."""
    transition = np.zeros((6, 6, 7))
    reward = np.zeros_like(transition)

    def goes(state, action, target, chance=1.0, pays=0.0):
        transition[state, action, target] += chance
        if pays:
            reward[state, action, target] = pays

    for key in (0, 3):
        for place in range(3):
            state = place + key
            goes(state, NONSENSE, state, pays=-0.02)
            for action, room in ((0, LEFT_ROOM), (1, RIGHT_ROOM), (4, HALL)):
                goes(state, action, room + key, 1 - slip)
                goes(state, action, state, slip)
            for action in (2, 3):
                if (action, place, key) == (2, LEFT_ROOM, 0):  # takes the key
                    goes(state, action, LEFT_ROOM + 3, 0.8, 0.3)
                    goes(state, action, state, 0.2)
                elif (action, place) == (3, RIGHT_ROOM) and key:  # opens the door
                    goes(state, action, DONE, 1.0, 1.0)
                elif (action, place) == (3, RIGHT_ROOM):  # forces the lock
                    goes(state, action, DONE, 0.3, -0.5)
                    goes(state, action, state, 0.7)
                else:
                    goes(state, action, state)
    start = np.array([0.5, 0.2, 0.1, 0.2, 0.0, 0.0])
    return Mdp("key_door", language(), transition, reward, start, max_steps, "terminal")


def language() -> Language:
    """All strings of at most three words; "." ends one early."""

    def legal(prefix: String) -> range:
        return range(len(WORDS))

    def means(string: String) -> int | None:
        if string[-1] != END and len(string) < LONGEST:
            return None
        said = " ".join(WORDS[token] for token in string if token != END)
        return COMMANDS.get(said, NONSENSE)

    return build(WORDS, legal, means)


def sensible_logits(mdp: Mdp, spread: float = 0.6) -> np.ndarray:
    """[S, K, V] as `uneven_logits`, with a liking for well-formed commands."""
    logits = uneven_logits(mdp, spread)
    tree = mdp.language
    logits[:, 0, [WORDS.index("go"), WORDS.index("use")]] += 1.5
    for verb in ("go", "use"):
        node = tree.child[0, WORDS.index(verb)]
        logits[:, node, [WORDS.index("left"), WORDS.index("right")]] += 1.5
        for room in ("left", "right"):
            logits[:, tree.child[node, WORDS.index(room)], END] += 1.5
    return logits
