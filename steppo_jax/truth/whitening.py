"""Whitening over tokens or over steps, under two aggregations of the loss.

Whitening is A ← (A − m)/s. Dividing by s only changes the length of the gradient.
Taking m off changes nothing in expectation where every token of a response counts
fully (`constant`; `token` and `step_sum` differ from it by a factor of the batch).
Where the tokens of a response are averaged (`step`, as in the official scripts), the
weight 1/n depends on the response, and m pushes its length. Over tokens, long
responses count more in m than over steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from steppo_jax.truth.chain import chain, thoughtful_logits
from steppo_jax.truth.measure import Laboratory
from steppo_jax.truth.rows import Row, of_trial
from steppo_jax.truth.trial import Trial

KINDS = ("none", "batch", "token_batch")
AGGREGATES = ("constant", "step")


def sampled(batches: int, seed: int) -> Iterator[Row]:
    """Step GAE on a `chain` that thinks up to 8 tokens, most at the first place.

    λ = 1 and the exact critic: advantages around 0. The zero critic: around the
    return, so that there is a mean to take off.
    """
    mdp = chain(most_thoughts=8)
    logits = thoughtful_logits(mdp, tilt=1.5)
    lab = Laboratory(mdp, logits, batches=batches, seed=seed)
    for aggregate in AGGREGATES:
        for kind in KINDS:
            trial = Trial("step_gae", 1.0, 1.0, normalise=kind, aggregate=aggregate)
            for critic in ("exact", "zero"):
                found = lab.run(trial, critic)
                yield of_trial("whitening", mdp.name, trial, critic, found)
