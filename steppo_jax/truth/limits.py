"""A step limit that only cuts the collection: bootstrapped, or taken for the end."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import credit, masked
from steppo_jax.truth.chain import chain, thoughtful_logits
from steppo_jax.truth.enumeration import all_episodes
from steppo_jax.truth.mdp import Discount, Mdp, probabilities, uneven_logits
from steppo_jax.truth.measure import Laboratory
from steppo_jax.truth.rollouts import Critic, credit_batch
from steppo_jax.truth.rows import Row, of_trial
from steppo_jax.truth.trial import Trial
from steppo_jax.truth.work import WORK, work

GAMMA = 0.9
LAMBDAS = (0.0, 0.5, 0.8, 0.95, 1.0)
ROUNDS = 500  # the slowest error shrinks by 0.9 a round
LIMITS = (2, 4, 8)


def fixed_point(
    mdp: Mdp, logits: np.ndarray, gamma: float, lams: tuple, bootstrap: bool
) -> np.ndarray:
    """[len(lams), S] the critic that its own targets leave unchanged.

    V ← E[value target of step GAE | state], over all episodes and all their steps:
    what a critic without a clock converges to. Exact but for ROUNDS.
    """
    episodes, chance = all_episodes(mdp, logits)
    T = mdp.max_steps
    S = mdp.num_states
    nodes = jnp.zeros((T, S, mdp.language.num_nodes))
    weight = masked.select(jnp.repeat(jnp.asarray(chance), T), episodes.live.ravel())
    state = episodes.state.ravel()

    def one_round(_, value, lam):
        table = jnp.broadcast_to(jnp.append(value, 0.0), (T + 1, S + 1))
        batch = credit_batch(episodes, mdp, Critic(table, nodes), bootstrap=bootstrap)
        settings = credit.CreditSettings(gamma=gamma, lam=lam)
        target = credit.estimate("step_gae", batch, settings).value_target
        total = masked.segment_sum(weight * target, state, S)
        return masked.divide(total, masked.segment_sum(weight, state, S))

    @jax.jit
    def settle(lam):
        begin = jnp.zeros((S,), weight.dtype)
        return jax.lax.fori_loop(0, ROUNDS, lambda i, v: one_round(i, v, lam), begin)

    return np.stack([np.asarray(settle(lam)) for lam in lams])


def closed_form(p: float, gamma: float, lam: float, steps: int, bootstrap: bool):
    """V of `work`. Bootstrapped: p/(1 − γ). Taken for the end, with c = γλ and sums
    over the T steps of an episode,
    V = p Σ_t Σ_{k<T−t} c^k / ((1 − γ) Σ_t Σ_{k<T−t} c^k + γ Σ_t c^{T−1−t}).
    """
    if bootstrap:
        return p / (1 - gamma)
    powers = [(gamma * lam) ** k for k in range(steps)]
    every = sum(sum(powers[: steps - t]) for t in range(steps))
    return p * every / ((1 - gamma) * every + gamma * sum(powers))


def fixed_points() -> Iterator[Row]:
    """The fixed point on `work`, against its closed form and against V = p/(1 − γ)."""
    mdp = work()
    logits = uneven_logits(mdp)
    policy = probabilities(logits, mdp.language)[0]
    p = policy[0, WORK] + policy[0, 0] * policy[1, WORK]
    for bootstrap in (True, False):
        case = "bootstrapped" if bootstrap else "taken for the end"
        found = fixed_point(mdp, logits, GAMMA, LAMBDAS, bootstrap)
        for lam, value in zip(LAMBDAS, found[:, 0]):
            yield {
                "part": "fixed point",
                "mdp": mdp.name,
                "case": case,
                "x": p / (1 - GAMMA),
                "estimator": "step_gae",
                "gamma": GAMMA,
                "lam": lam,
                "how": "exact",
                "value": float(value),
                "expected": closed_form(p, GAMMA, lam, mdp.max_steps, bootstrap),
            }


def ignored(batches: int, seed: int) -> Iterator[Row]:
    """Gradient error when truncation is ignored, as more episodes are cut.

    The truth is Σ over the collected steps of A^∞ ∇ log π, A^∞ of the task without a
    limit. Methods without a critic have nothing to bootstrap from.
    """
    task = Discount(GAMMA)
    for steps in LIMITS:
        mdp = chain(max_steps=steps, on_time_limit="bootstrap")
        logits = thoughtful_logits(mdp)
        lab = Laboratory(mdp, logits, batches=batches, seed=seed, task=task)
        end = lab.rollouts
        cut = float(
            (end.live[..., -1] & (end.next_state[..., -1] < mdp.num_states)).mean()
        )
        for trial, case in _ways():
            found = lab.run(trial, "exact")
            reads = credit.get(trial.estimator).critic
            critic = "none" if reads == "none" else "exact"
            more = {"case": case, "x": cut}
            yield of_trial("truncation", mdp.name, trial, critic, found, **more)


def _ways() -> Iterator[tuple[Trial, str]]:
    for lam in (1.0, 0.8):
        yield Trial("step_gae", GAMMA, lam), "bootstrapped"
        yield Trial("step_gae", GAMMA, lam, bootstrap=False), "ignored"
    yield Trial("reinforce_pp", GAMMA), "nothing to bootstrap from"
    yield Trial("rloo"), "nothing to bootstrap from"
