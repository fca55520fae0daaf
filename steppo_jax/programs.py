"""From a checked config to the compiled programs of a run."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from steppo_jax import credit, draws, envs
from steppo_jax.actor import branch
from steppo_jax.actor.branch import BranchSettings
from steppo_jax.actor.rollout import Rollout, RolloutSettings, policy_speaks, rollout
from steppo_jax.credit import CreditSettings
from steppo_jax.envs import context
from steppo_jax.envs.base import Environment
from steppo_jax.evaluate import Evaluator
from steppo_jax.guards import GuardSettings
from steppo_jax.learner.settings import KLSettings, UpdateSettings
from steppo_jax.learner.state import LearnerState, OptimizerSettings
from steppo_jax.learner.update import Learner
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.heads import Critic, Policy, ValueHead
from steppo_jax.objective import ObjectiveSettings
from steppo_jax.parallel import Axis, Devices
from steppo_jax.warm_start import CloneSettings


def decoder_config(config: ConfigDict, env: Environment) -> DecoderConfig:
    """Sizes of the networks: the model's own, and what the environment needs."""
    longest = env.observation_length + env.response_length
    learned = config.model.positions == "learned"
    return DecoderConfig(
        **config.model.to_dict(),
        vocabulary=len(env.vocabulary),
        max_positions=longest if learned else None,
    )


def update_settings(config: ConfigDict) -> UpdateSettings:
    """The point of the grid that a config names."""
    estimator = credit.get(config.credit.estimator)
    c, o, u = config.credit, config.objective, config.learner
    with_critic = estimator.critic != "none"
    optimizer = {
        name: config.policy[name] for name in ("grad_clip", "weight_decay", "adam_b2")
    }
    critic = None
    if with_critic and config.critic.trunk == "own":
        # A squared error, so its gradient, grows with the square of the scale.
        clip = config.policy.grad_clip * config.critic.scale**2
        optimizer_of_critic = optimizer | {"grad_clip": clip}
        rate = config.critic.learning_rate
        critic = OptimizerSettings(learning_rate=rate, **optimizer_of_critic)
    return UpdateSettings(
        estimator=c.estimator,
        credit=CreditSettings(
            **{name: c[name] for name in estimator.options}, official=c.official
        ),
        normalise=c.normalise,
        objective=ObjectiveSettings(
            ratio=o.ratio,
            clip_low=o.clip_low,
            clip_high=o.clip_high,
            dual_clip=o.dual_clip,
            entropy_coef=o.entropy_coef or None,
        ),
        aggregate=o.aggregate,
        constant=o.constant,
        trajectories=config.rollout.groups * config.rollout.group_size,
        policy=OptimizerSettings(
            learning_rate=config.policy.learning_rate, **optimizer
        ),
        critic=critic,
        critic_coef=config.critic.coef,
        value_clip=config.critic.value_clip if with_critic else None,
        kl=None if config.kl.kind is None else KLSettings(**config.kl.to_dict()),
        critic_warmup=config.critic.warmup_iterations if with_critic else 0,
        temperature=config.rollout.temperature,
        epochs=u.epochs,
        minibatches=u.minibatches,
        microbatch=u.microbatch,
    )


@dataclasses.dataclass(frozen=True)
class Programs:
    """What a run executes; nothing here holds parameters."""

    config: ConfigDict
    env: Environment
    devices: Devices
    learner: Learner

    @functools.cached_property
    def collect(self) -> Any:
        """(state) → Rollout of the current iteration, laid out over the devices."""
        groups, size = self.config.rollout.groups, self.config.rollout.group_size
        play = self.play_settings("sampled")
        branching = self.branching

        def body(axis: Axis, state: LearnerState) -> Rollout:
            here = groups * size // axis.size
            traj_N = axis.index() * here + jnp.arange(here, dtype=jnp.int32)
            group_N = traj_N // size

            def now(job: str) -> jax.Array:
                key = draws.key_of(state.key, job)
                return jax.random.fold_in(key, state.iteration)

            task_key = now("tasks")
            key_N = jax.vmap(jax.random.fold_in, (None, 0))(task_key, group_N)
            task_N = jax.vmap(lambda k: self.env.sample_task(k, "train"))(key_N)
            speak = policy_speaks(self.learner.policy, state.policy, self.env, play)
            rolled = rollout(
                speak,
                self.env,
                play,
                now("rollout"),
                task_N,
                traj_N,
                group_N,
                state.num_updates,
                keep_states=branching is not None,
            )
            if branching is None:
                return rolled
            advantage_B, _ = branch.advantages(
                speak,
                self.env,
                play,
                rolled,
                now("branches"),
                branching,
            )
            steps = rolled.steps.replace(branch_advantage=advantage_B)
            return rolled.replace(steps=steps, start=None)

        return self.devices.compile(body)

    @functools.cached_property
    def update(self) -> Any:
        """(state, steps, tokens) → (state, metrics, seen); the state is consumed."""
        return self.devices.compile(self.learner.update, donate=(0,))

    @property
    def trajectories_per_device(self) -> int:
        return self.learner.settings.trajectories // self.devices.count

    @property
    def branching(self) -> BranchSettings | None:
        """What the actor measures by branching, where credit needs it."""
        if self.config.branching.branches is None:
            return None
        return BranchSettings(**self.config.branching.to_dict())

    @property
    def guards(self) -> GuardSettings:
        """When the run stops by itself."""
        return GuardSettings(**self.config.guards.to_dict())

    def play_settings(self, decoding: str) -> RolloutSettings:
        env = self.config.env
        return RolloutSettings(
            max_steps=env.max_steps,
            on_time_limit=env.on_time_limit,
            temperature=self.config.rollout.temperature,
            decoding=decoding,
        )

    def evaluator(self, decoding: str) -> Evaluator:
        """Plays panels in batches as large as a rollout."""
        batch = self.config.rollout.groups * self.config.rollout.group_size
        settings = dataclasses.replace(
            self.play_settings(decoding), on_time_limit="terminal"
        )
        return Evaluator(self.learner.policy, self.env, settings, self.devices, batch)

    def clone_settings(self) -> CloneSettings:
        w = self.config.warm_start.to_dict()
        return CloneSettings(**w, microbatch=self.config.learner.microbatch)


def environment(config: ConfigDict) -> Environment:
    """The environment of a config, under its context policy."""
    own = envs.make(**config.env.to_dict())
    return context.wrap(own, config.context.policy, config.context.turns)


def build(config: ConfigDict) -> Programs:
    """Programs for a config that `settings.check` has accepted; compiles nothing."""
    env = environment(config)
    decoder = decoder_config(config, env)
    settings = update_settings(config)
    critic = None
    if config.critic.kind != "none":
        own = config.critic.trunk == "own"
        scale = config.critic.scale
        critic = Critic(decoder, scale) if own else ValueHead(scale)
    learner = Learner(Policy(decoder), critic, settings)
    return Programs(config, env, Devices.local(config.devices), learner)
