"""Runs an estimator on many sampled batches and holds it against the truth."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import credit
from steppo_jax.credit import CreditSettings
from steppo_jax.truth import estimate, exact, statistics
from steppo_jax.truth.mdp import UNDISCOUNTED, Discount, Mdp, probabilities
from steppo_jax.truth.rollouts import Rollouts, credit_batch, critic
from steppo_jax.truth.sample import sampler

# Most programs here run once or a few times: compiling them is what takes long.
QUICK = {"xla_backend_optimization_level": 0}
FOLDS = 10  # independent parts that conditional biases are taken from


@dataclasses.dataclass(frozen=True)
class Trial:
    """An estimator with its options, and what the learner does with it."""

    estimator: str
    gamma: float | None = None
    lam: float | None = None
    divide_by_std: bool | None = None
    official: bool = False
    normalise: str = "none"
    aggregate: str = "constant"
    bootstrap: bool = True  # at a limit that only cuts the collection

    @property
    def discount(self) -> Discount:
        """What the estimator means by γ: per step, or per token (token GAE)."""
        gamma = 1.0 if self.gamma is None else self.gamma
        return Discount(gamma, gamma if self.estimator == "token_gae" else 1.0)

    def settings(self, gamma, lam) -> CreditSettings:
        """CreditSettings with γ and λ possibly traced, left unset where unset here."""
        return CreditSettings(
            gamma=None if self.gamma is None else gamma,
            lam=None if self.lam is None else lam,
            divide_by_std=self.divide_by_std,
            official=self.official,
        )

    def program(self) -> Trial:
        """The trial with its numbers replaced: equal ones share a compiled program."""
        numbers = {
            name: None if getattr(self, name) is None else 0.0
            for name in ("gamma", "lam")
        }
        return dataclasses.replace(self, bootstrap=True, **numbers)


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
        program = trial.program()
        if program not in self._compiled:
            self._compiled[program] = jax.jit(
                functools.partial(self._body, program), compiler_options=QUICK
            )
        truth = self.truth(self.aim(trial))
        is_step = credit.get(trial.estimator).level == "step"
        right = truth.step_advantage if is_step else truth.token_advantage
        dtype = self.rollouts.reward.dtype
        values, right = jax.tree.map(
            lambda x: jnp.asarray(x, dtype), (critic(truth, kind), right)
        )
        numbers = [trial.gamma or 0.0, trial.lam or 0.0, trial.bootstrap]
        out = self._compiled[program](
            jnp.asarray(numbers, dtype), values, right, self.rollouts
        )
        gradients, count, total, square = (np.asarray(x, np.float64) for x in out)
        return gradients.reshape(len(gradients), -1), count, total, float(square.sum())

    def _body(self, program: Trial, numbers, values, right, rollouts):
        """All batches; errors are counted by (t, state, node, token) and fold."""
        is_step = credit.get(program.estimator).level == "step"

        def one_batch(rollouts):
            place = jnp.arange(self.mdp.max_steps)[None, :, None]
            here = (place, rollouts.state[..., None], rollouts.node, rollouts.token)
            truth = right[here]
            measured = jnp.where(rollouts.last(), truth, 0).sum(-1)
            batch = credit_batch(
                rollouts,
                self.mdp,
                values,
                bootstrap=numbers[2] > 0,
                branch_advantage=measured,
            )
            advantage = estimate.token_advantage(
                program.estimator,
                batch,
                program.settings(*numbers[:2]),
                rollouts,
                program.normalise,
            )
            gradient = estimate.batch_gradient(
                advantage, batch, rollouts, self.policy, program.aggregate
            )
            counted = rollouts.last() if is_step else rollouts.said
            error = jnp.where(counted, advantage - truth, 0)
            cell = jnp.ravel_multi_index(here, right.shape, mode="clip")
            cell = jnp.where(counted, cell, right.size)

            def by_cell(x):
                found = jax.ops.segment_sum(x.ravel(), cell.ravel(), right.size + 1)
                return found[:-1]

            number = by_cell(counted.astype(error.dtype))
            return gradient, number, by_cell(error), jnp.sum(error**2)

        gradient, count, total, square = jax.vmap(one_batch)(rollouts)
        folds = jnp.arange(count.shape[0]) % FOLDS
        count = jax.ops.segment_sum(count, folds, FOLDS)
        return gradient, count, jax.ops.segment_sum(total, folds, FOLDS), square
