"""Every estimator × γ × λ × critic: where it is unbiased, and how much it scatters."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import credit
from steppo_jax.truth import estimate, exact
from steppo_jax.truth.chain import chain, thoughtful_logits
from steppo_jax.truth.enumeration import all_episodes
from steppo_jax.truth.key_door import key_door, sensible_logits
from steppo_jax.truth.mdp import UNDISCOUNTED, Mdp, probabilities
from steppo_jax.truth.measure import Laboratory
from steppo_jax.truth.rollouts import credit_batch, critic
from steppo_jax.truth.rows import Row, of_trial
from steppo_jax.truth.trial import Trial

GAE = ("step_gae", "token_gae", "bi_level_gae")
GAMMAS = (1.0, 0.9)
LAMBDAS = (0.0, 0.5, 0.8, 0.95, 1.0)


def trials() -> Iterator[tuple[Trial, str]]:
    """(trial, critic): every registered estimator with what it can be told."""
    for name in credit.names():
        uses = credit.get(name).options
        gammas = GAMMAS if "gamma" in uses else (None,)
        lams = LAMBDAS if "lam" in uses else (None,)
        critics = ("none",) if credit.get(name).critic == "none" else ("exact", "wrong")
        stds = (False, True) if "divide_by_std" in uses else (None,)
        for std in stds:
            for kind in critics:
                for gamma in gammas:
                    for lam in lams:
                        yield Trial(name, gamma, lam, std), kind


def sampled(lab: Laboratory) -> Iterator[Row]:
    """The whole grid on sampled batches. `monte_carlo` reads exact advantages, the
    limit of many branches."""
    for trial, kind in trials():
        found = lab.run(trial, "zero" if kind == "none" else kind)
        yield of_trial("grid", lab.mdp.name, trial, kind, found)


def enumerated() -> Iterator[Row]:
    """Exact expectation and spread of the estimators that treat episodes one by one,
    over all episodes of small variants: `chain` with two places and three steps, and
    `key_door` with two steps, whose responses may end after any token."""
    small_chain = chain(places=2, max_steps=3, most_thoughts=1)
    small_door = key_door(max_steps=2)
    yield from _enumerated(small_chain, thoughtful_logits(small_chain))
    yield from _enumerated(small_door, sensible_logits(small_door))


def _enumerated(mdp: Mdp, logits: np.ndarray) -> Iterator[Row]:
    episodes, chance = all_episodes(mdp, logits)
    policy = jnp.asarray(probabilities(logits, mdp.language))
    weight = jnp.asarray(chance)

    @functools.partial(jax.jit, static_argnums=0)
    def measure(trial, gamma, lam, values):
        batch = credit_batch(episodes, mdp, values, bootstrap=False)
        settings = trial.settings(gamma, lam)
        advantage = estimate.token_advantage(trial.estimator, batch, settings, episodes)
        args = (advantage, episodes, policy, weight)
        return estimate.expected_gradient(*args), estimate.episode_variance(*args)

    task = exact.gradient(logits, mdp, UNDISCOUNTED)
    for name in (*GAE, "reinforce_pp"):
        kinds = ("none",) if name == "reinforce_pp" else ("exact", "wrong", "zero")
        lams = (None,) if name == "reinforce_pp" else (0.0, 0.5, 1.0)
        for gamma, kind, lam in itertools.product(GAMMAS, kinds, lams):
            trial = Trial(name, gamma, lam)
            aim = exact.gradient(logits, mdp, trial.discount, UNDISCOUNTED)
            truth = exact.solve(logits, mdp, trial.discount)
            values = critic(truth, "zero" if kind == "none" else kind)
            found = measure(trial.program(), gamma, lam or 0.0, values)
            mean, variance = map(np.asarray, found)
            yield {
                "part": "exact",
                "mdp": mdp.name,
                "case": f"{mdp.max_steps} steps, {len(chance)} episodes",
                "x": len(chance),
                "estimator": name,
                "gamma": gamma,
                "lam": lam,
                "critic": kind,
                "how": "exact",
                "gradient_bias": _apart(mean, aim),
                "gradient_std": float(np.sqrt(variance) / np.linalg.norm(aim)),
                "task_bias": _apart(mean, task),
                "slope": float((mean * aim).sum() / (aim**2).sum()),
                "cosine": _cosine(mean, task),
            }


def equality(lab: Laboratory) -> Iterator[Row]:
    """The largest difference between bi-level and token GAE, over all tokens of the
    first batches, in units of the largest advantage."""
    rollouts = jax.tree.map(lambda x: x[:4].reshape(-1, *x.shape[2:]), lab.rollouts)
    values = critic(lab.truth(UNDISCOUNTED), "wrong")
    batch = credit_batch(rollouts, lab.mdp, values, bootstrap=True)

    @jax.jit
    def both(gamma, lam):
        settings = credit.CreditSettings(gamma=gamma, lam=lam)
        names = ("token_gae", "bi_level_gae")
        return [credit.estimate(name, batch, settings).advantage for name in names]

    for gamma, lam in ((1.0, 1.0), (1.0, 0.95), (0.99, 1.0), (0.99, 0.95), (0.9, 0.8)):
        token, bi_level = map(np.asarray, both(gamma, lam))
        yield {
            "part": "equality",
            "mdp": lab.mdp.name,
            "estimator": "bi_level_gae − token_gae",
            "gamma": gamma,
            "lam": lam,
            "critic": "wrong",
            "how": f"largest difference, {token.dtype}",
            "value": float(np.abs(token - bi_level).max() / np.abs(token).max()),
            "expected": 0.0 if gamma == lam == 1 else None,
        }


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))
