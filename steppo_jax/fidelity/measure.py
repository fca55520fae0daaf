"""Episodes of a frozen policy, the true advantage of their steps, and the estimates."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from steppo_jax import credit, masked
from steppo_jax.actor import branch
from steppo_jax.actor.branch import BranchSettings
from steppo_jax.actor.rollout import policy_speaks, rollout
from steppo_jax.fidelity.trials import Trial, settings
from steppo_jax.learner import learned
from steppo_jax.parallel import Axis
from steppo_jax.programs import Programs
from steppo_jax.structs import Learned, Steps, Tokens

HALVES = 2  # independent measurements of the truth: their product has no noise in it


@struct.dataclass
class Episodes:
    """A batch of episodes and what their steps were truly worth."""

    steps: Steps
    tokens: Tokens
    truth: jax.Array  # [B, HALVES] r_t + V̂(s_{t+1}) − V̂(s_t); NaN in invalid rows


@dataclasses.dataclass(frozen=True, eq=False)  # hashed as the one object it is
class Laboratory:
    """The compiled programs of the measurement, for critics of both kinds."""

    programs: dict[str, Programs]  # by kind of critic
    groups: int  # tasks of a batch
    group_size: int  # episodes of each
    branches: int  # from every state, in each half of the truth
    monte_carlo: int  # from every state, for the estimator of that name

    @property
    def base(self) -> Programs:
        return self.programs["step"]

    @functools.cached_property
    def play(self) -> Any:
        """(policy, key) → Episodes, laid out over the devices."""
        p, env = self.base, self.base.env
        how = p.play_settings("sampled")

        def body(axis: Axis, policy, key) -> Episodes:
            here = self.groups * self.group_size // axis.size
            traj_N = axis.index() * here + jnp.arange(here, dtype=jnp.int32)
            group_N = traj_N // self.group_size
            task_key, play_key, branch_key = jax.random.split(key, 3)
            key_N = jax.vmap(jax.random.fold_in, (None, 0))(task_key, group_N)
            task_N = jax.vmap(lambda k: env.sample_task(k, "train"))(key_N)
            speak = policy_speaks(p.learner.policy, policy, env, how)
            rolled = rollout(
                speak,
                env,
                how,
                play_key,
                task_N,
                traj_N,
                group_N,
                jnp.int32(0),
                keep_states=True,
            )

            def measured(number: int, branches: int) -> jax.Array:
                key = jax.random.fold_in(branch_key, number)
                to = BranchSettings(branches=branches, gamma=1.0)
                return branch.advantages(speak, env, how, rolled, key, to)[0]

            halves = [measured(i, self.branches) for i in range(HALVES)]
            own = measured(HALVES, self.monte_carlo)
            steps = rolled.steps.replace(branch_advantage=own)
            return Episodes(steps, rolled.tokens, jnp.stack(halves, axis=1))

        return self.base.devices.compile(body)

    @functools.cached_property
    def _learn(self) -> dict[str, Any]:
        """By kind of critic: (policy, critic, episodes) → Learned."""

        def program(kind: str, p: Programs):
            estimator = credit.get(p.learner.settings.estimator)

            def body(axis: Axis, policy, critic, episodes: Episodes) -> Learned:
                del axis  # a sequence needs no other
                models = (p.learner.policy, p.learner.critic)
                valuing = p.learner.critic_variables(policy, critic)
                return learned.learn(
                    models,
                    (policy, valuing),
                    episodes.steps,
                    episodes.tokens,
                    estimator,
                    p.learner.settings.temperature,
                    p.learner.settings.microbatch,
                )[0]

            return p.devices.compile(body)

        return {kind: program(kind, p) for kind, p in self.programs.items()}

    @functools.cached_property
    def _estimate(self) -> dict[str, Any]:
        """By estimator: (Learned, episodes, λ) → [B] advantage of each step, raw."""

        def program(name: str):
            estimator = credit.get(name)

            def body(axis: Axis, table: Learned, episodes: Episodes, lam) -> jax.Array:
                steps, tokens, how = (
                    episodes.steps,
                    episodes.tokens,
                    settings(name, lam),
                )
                advantage_SL, _, _ = learned.assign_credit(
                    axis, steps, tokens, table, estimator, how, "none"
                )
                # A token estimator's credit of a step: the mean over its tokens.
                return masked.segment_mean(advantage_SL, tokens.step_id, steps.num_rows)

            return self.base.devices.compile(body)

        return {name: program(name) for name in credit.names()}

    def estimates(
        self, policy, critics: dict[str, Any], episodes: Episodes, wanted: list[Trial]
    ) -> dict[Trial, np.ndarray]:
        """[valid steps] the advantage of every step by every trial.

        Args:
          policy, critics: replicated parameters; critics by kind.
        """
        tables = {
            kind: program(policy, critics[kind], episodes)
            for kind, program in self._learn.items()
        }
        devices = self.base.devices
        valid = np.asarray(devices.join(episodes.steps.valid))
        found = {}
        for trial in wanted:
            kind = credit.get(trial.estimator).critic
            table = tables["step" if kind == "none" else kind]  # or read by nobody
            lam = devices.replicate(jnp.float32(trial.lam or 0.0))
            credited = self._estimate[trial.estimator](table, episodes, lam)
            found[trial] = np.asarray(devices.join(credited))[valid]
        return found

    def truth(self, episodes: Episodes) -> tuple[np.ndarray, np.ndarray]:
        """([valid steps, HALVES] true advantages, [valid steps] number of the task)."""
        steps, truth = self.base.devices.join((episodes.steps, episodes.truth))
        valid = np.asarray(steps.valid)
        return np.asarray(truth)[valid], np.asarray(steps.group_id)[valid]
