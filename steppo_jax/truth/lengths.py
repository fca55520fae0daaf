"""What a γ per token does as responses grow, on `chain` with more and more thoughts.

The thoughts change nothing but the length: J and ∇J with respect to the moves are
those of the chain without thoughts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from steppo_jax.truth import exact
from steppo_jax.truth.chain import chain, thoughtful_logits
from steppo_jax.truth.mdp import UNDISCOUNTED, Discount, Mdp, probabilities
from steppo_jax.truth.measure import Laboratory
from steppo_jax.truth.rows import Row, of_trial
from steppo_jax.truth.trial import Trial

THOUGHTS = (0, 1, 2, 4, 8, 16, 32)
GAMMAS = (0.99, 0.95)
SAMPLED = (0, 32)


def mean_length(mdp: Mdp, logits: np.ndarray) -> float:
    """Expected tokens per response, over the steps as they are visited."""
    policy, tree = probabilities(logits, mdp.language), mdp.language
    chance = np.where(tree.ends, policy * exact.reach(policy, mdp)[..., None], 0)
    tokens = (chance.sum(-1) * (tree.depth + 1)).sum(-1)
    seen = exact.visits(logits, mdp).sum(0)
    return float(tokens @ seen / seen.sum())


def expected() -> Iterator[Row]:
    """E g by dynamic programming: GAE with λ = 1 or with the exact critic has the
    gradient at its γ as its expectation (see the part `exact`)."""
    for thoughts in THOUGHTS:
        mdp = chain(most_thoughts=thoughts)
        logits = thoughtful_logits(mdp)
        tokens = mean_length(mdp, logits)
        task = exact.gradient(logits, mdp, UNDISCOUNTED).ravel()
        longer = exact.length_gradient(logits, mdp).ravel()
        for gamma in GAMMAS:
            matched = gamma ** (1 / tokens)
            cases = {
                "γ per step": Discount(gamma),
                "γ per token": Discount(gamma, gamma),
                "γ per token, unit-matched": Discount(matched, matched),
            }
            for case, discount in cases.items():
                found = exact.gradient(logits, mdp, discount, UNDISCOUNTED).ravel()
                yield {
                    "part": "length",
                    "mdp": mdp.name,
                    "case": case,
                    "x": tokens,
                    "estimator": "token_gae" if discount.token < 1 else "step_gae",
                    "gamma": gamma,
                    "how": "exact",
                    "task_bias": float(
                        np.linalg.norm(found - task) / np.linalg.norm(task)
                    ),
                    "slope": float(found @ task / (task @ task)),
                    "cosine": _cosine(found, task),
                    "length_cosine": _cosine(found, longer) if thoughts else None,
                }


def sampled(batches: int, seed: int) -> Iterator[Row]:
    """The same by running the estimators, and how much they scatter."""
    for thoughts in SAMPLED:
        mdp = chain(most_thoughts=thoughts)
        logits = thoughtful_logits(mdp)
        lab = Laboratory(mdp, logits, batches=batches, seed=seed)
        for name in ("step_gae", "token_gae"):
            for gamma, lam in ((1.0, 1.0), (0.99, 1.0), (0.99, 0.95), (1.0, 0.95)):
                for kind in ("exact", "wrong"):
                    trial = Trial(name, gamma, lam)
                    more = dict(case=f"{thoughts} thoughts at most")
                    more["x"] = mean_length(mdp, logits)
                    found = lab.run(trial, kind)
                    yield of_trial("length", mdp.name, trial, kind, found, **more)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
