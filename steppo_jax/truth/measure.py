"""Runs an estimator on many sampled batches and holds it against the truth."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import credit
from steppo_jax.truth import estimate, exact, statistics
from steppo_jax.truth.mdp import UNDISCOUNTED, Discount, Mdp, probabilities
from steppo_jax.truth.rollouts import Critic, Rollouts, credit_batch, critic
from steppo_jax.truth.sample import sampler
from steppo_jax.truth.trial import Trial

# Most programs here run once or a few times: compiling them is what takes long.
QUICK = {"xla_backend_optimization_level": 0}
FOLDS = 10  # independent parts that conditional biases are taken from


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was found. Gradients are relative to the norm of the true one."""

    advantage: statistics.Gap  # against the exact advantage at the estimator's γ
    gradient: statistics.Gap  # against the gradient it aims at (its γ, plain visits)
    task: statistics.Gap  # against ∇J at γ = 1, or at the task's own γ
    slope: tuple[float, float]  # along the gradient it aims at, and standard error
    cosine: tuple[float, float]  # of the expected gradient with the task's
    length: tuple[float, float]  # the same with the gradient of response length


class Laboratory:
    """One MDP, one policy, R sampled batches of `groups` · `group_size` episodes."""

    def __init__(
        self,
        mdp: Mdp,
        logits: np.ndarray,
        *,
        batches: int,
        groups: int = 16,
        group_size: int = 8,
        seed: int = 0,
        task: Discount = UNDISCOUNTED,
    ):
        self.mdp, self.logits, self.task = mdp, logits, task
        sample = sampler(mdp, logits)
        drawn = sample(jax.random.key(seed), batches * groups, group_size)
        self.rollouts: Rollouts = jax.tree.map(
            lambda x: x.reshape(batches, groups * group_size, *x.shape[1:]), drawn
        )
        self.policy = jnp.asarray(
            probabilities(logits, mdp.language), self.rollouts.reward.dtype
        )
        self._compiled = {}

    @functools.lru_cache(maxsize=64)  # noqa: B019  (a laboratory lives as long as its use)
    def truth(self, discount: Discount) -> exact.Truth:
        """Values and advantages under `discount`."""
        return exact.solve(self.logits, self.mdp, discount)

    @functools.lru_cache(maxsize=64)  # noqa: B019
    def gradient(self, discount: Discount) -> np.ndarray:
        """[D] what an estimator with this discount aims at, at plain visits."""
        found = exact.gradient(self.logits, self.mdp, discount, UNDISCOUNTED)
        return found.ravel()

    def aim(self, trial: Trial) -> Discount:
        """What the trial's γ means; without a γ of its own, the task's."""
        return self.task if trial.gamma is None else trial.discount

    def run(self, trial: Trial, critic: str = "exact") -> Measured:
        """Measures one trial with one critic (see rollouts.critic)."""
        gradients, count, total, square = self._estimates(trial, critic)
        aim, task = self.gradient(self.aim(trial)), self.gradient(self.task)
        length = exact.length_gradient(self.logits, self.mdp).ravel()
        return Measured(
            advantage=statistics.advantage_gap(count, total, square),
            gradient=statistics.gradient_gap(gradients, aim),
            task=statistics.gradient_gap(gradients, task),
            slope=statistics.along(gradients, aim),
            cosine=statistics.cosine(gradients, task),
            length=statistics.cosine(gradients, length),
        )

    def _estimates(self, trial: Trial, kind: str):
        """Gradients [R, D]; counts and sums of errors [F, C]; Σ error²."""
        truth = self.truth(self.aim(trial))
        is_step = credit.get(trial.estimator).level == "step"
        right = truth.step_advantage if is_step else truth.token_advantage
        dtype = self.rollouts.reward.dtype
        values, right = jax.tree.map(
            lambda x: jnp.asarray(x, dtype), (critic(truth, kind), right)
        )
        numbers = jnp.asarray([trial.gamma or 0.0, trial.lam or 0.0], dtype)
        batch = self._batches(values, right, jnp.asarray(trial.bootstrap))
        advantage = self._advantages(trial.program())(numbers, batch, self.rollouts)
        scores = self._scores(is_step, trial.aggregate)
        out = scores(advantage, batch, right, self.rollouts)
        gradients, count, total, square = (np.asarray(x, np.float64) for x in out)
        return gradients.reshape(len(gradients), -1), count, total, float(square.sum())

    # Three programs instead of one: only the middle one differs by estimator.

    def _batches(self, values: Critic, right: jax.Array, bootstrap: jax.Array):
        """CreditBatch of every batch. Branching measured the advantage `right`."""

        def one_batch(rollouts, values, right, bootstrap):
            truth = right[_cell(rollouts)]
            measured = jnp.where(rollouts.last(), truth, 0).sum(-1)
            return credit_batch(
                rollouts,
                self.mdp,
                values,
                bootstrap=bootstrap,
                branch_advantage=measured,
            )

        program = self._compile("batches", one_batch, (0, None, None, None))
        return program(self.rollouts, values, right, bootstrap)

    def _advantages(self, trial: Trial):
        """[R, N, T, L] the estimator and the normalisation."""

        def one_batch(numbers, batch, rollouts):
            return estimate.token_advantage(
                trial.estimator,
                batch,
                trial.settings(*numbers),
                rollouts,
                trial.normalise,
            )

        return self._compile(trial, one_batch, (None, 0, 0))

    def _scores(self, is_step: bool, aggregate: str):
        """Gradients; errors counted by (t, state, node, token) and fold."""

        def one_batch(advantage, batch, right, rollouts):
            gradient = estimate.batch_gradient(
                advantage, batch, rollouts, self.policy, aggregate
            )
            counted = rollouts.last() if is_step else rollouts.said
            here = _cell(rollouts)
            error = jnp.where(counted, advantage - right[here], 0)
            cell = jnp.ravel_multi_index(here, right.shape, mode="clip")
            cell = jnp.where(counted, cell, right.size)

            def by_cell(x):
                found = jax.ops.segment_sum(x.ravel(), cell.ravel(), right.size + 1)
                return found[:-1]

            number = by_cell(counted.astype(error.dtype))
            return gradient, number, by_cell(error), jnp.sum(error**2)

        def folded(gradient, count, total, square):
            folds = jnp.arange(count.shape[0]) % FOLDS
            count = jax.ops.segment_sum(count, folds, FOLDS)
            return gradient, count, jax.ops.segment_sum(total, folds, FOLDS), square

        return self._compile((is_step, aggregate), one_batch, (0, 0, None, 0), folded)

    def _compile(self, key, one_batch, axes, after=lambda *x: x):
        """`one_batch` over all batches, compiled once for each key."""
        if key not in self._compiled:
            every = jax.vmap(one_batch, axes)

            def program(*args):
                found = every(*args)
                return after(*found) if isinstance(found, tuple) else found

            self._compiled[key] = jax.jit(program, compiler_options=QUICK)
        return self._compiled[key]


def _cell(rollouts: Rollouts) -> tuple[jax.Array, ...]:
    """Index of every token into tables [T, S, K, V]."""
    place = jnp.arange(rollouts.state.shape[1])[None, :, None]
    return (place, rollouts.state[..., None], rollouts.node, rollouts.token)
