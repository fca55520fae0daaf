"""`work`: one state for ever, whose value is known in closed form.

"work" pays 1, "rest" pays 0; both may follow a thought. With p the probability of
work and γ per step, V = p/(1 − γ). The limit only cuts the collection.
"""

from __future__ import annotations

import numpy as np

from steppo_jax.truth.language import build
from steppo_jax.truth.mdp import Mdp

WORDS = ("hm", "work", "rest")
HM, WORK, REST = range(3)


def work(max_steps: int = 4) -> Mdp:
    """The tables: S = 1, two actions, nothing ever ends."""
    language = build(
        WORDS,
        legal=lambda prefix: (HM, WORK, REST) if not prefix else (WORK, REST),
        means=lambda string: None if string[-1] == HM else string[-1] - 1,
    )
    transition = np.zeros((1, 2, 2))
    transition[:, :, 0] = 1.0
    reward = np.zeros_like(transition)
    reward[:, WORK - 1, 0] = 1.0
    return Mdp("work", language, transition, reward, np.ones(1), max_steps, "bootstrap")
