"""From a checked config to the compiled programs of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from steppo_jax import anchors, credit, draws, envs, placement, trajectories
from steppo_jax.actor import branch
from steppo_jax.actor.branch import BranchSettings
from steppo_jax.actor.rollout import (
    Rollout,
    RolloutSettings,
    policy_speaks,
    rollout,
    train_tasks,
)
from steppo_jax.credit import CreditSettings
from steppo_jax.envs import context
from steppo_jax.envs.base import Environment
from steppo_jax.evaluate import Evaluator
from steppo_jax.guards import GuardSettings
from steppo_jax.learner import numbers
from steppo_jax.learner.settings import KLSettings, UpdateSettings
from steppo_jax.learner.state import LearnerState, OptimizerSettings, sampler
from steppo_jax.learner.update import Learner
from steppo_jax.mesh import Mesh
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.heads import Critic, Policy, ValueHead
from steppo_jax.objective import ObjectiveSettings
from steppo_jax.parallel import Axis, Devices
from steppo_jax.settings import flat
from steppo_jax.structs import Steps, Tokens
from steppo_jax.warm_start import CloneSettings, Cloning


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
        staleness=config.rollout.staleness,
        behaviour_cap=o.behaviour_cap,
        kl=None if config.kl.kind is None else KLSettings(**config.kl.to_dict()),
        critic_warmup=config.critic.warmup_iterations if with_critic else 0,
        temperature=config.rollout.temperature,
        epochs=u.epochs,
        minibatches=u.minibatches,
        microbatch=u.microbatch * (pieces(config) if on_mesh(config) else 1),
        layout=u.layout,
        width=u.width,
    )


@dataclasses.dataclass(frozen=True)
class Programs:
    """What a run executes; nothing here holds parameters.

    Each program is compiled when it is first called. `at` gives them to another run.
    """

    config: ConfigDict
    env: Environment
    devices: Devices | Mesh
    learner: Learner
    compiled: dict[str, Any] = dataclasses.field(init=False, default_factory=dict)
    on_host: ClassVar[bool] = False  # whether `collect` is no compiled program

    def abstract(self) -> LearnerState:
        """Shapes, dtypes and places of a run's state, to restore one; nothing is drawn.

        The key is a real one: its kind is not a shape.
        """
        key = jax.random.key(self.config.seed)
        fresh = jax.eval_shape(self.learner.init, key)
        if not isinstance(self.devices, Devices):
            key = self.devices.replicate(key)
        return self.devices.abstract(fresh).replace(key=key)

    def begin(self) -> LearnerState:
        """The state a run starts from: parameters drawn from its seed."""
        return self.init(jax.random.key(self.config.seed))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.compiled:
            self.compiled[name] = make()
        return self.compiled[name]

    def played(self, state: LearnerState) -> Rollout:
        """Shapes of what `collect` gives, from a state's."""
        return self.devices.eval_shape(self.collect, state)

    def at(self, config: ConfigDict) -> Programs:
        """These programs for a run of the same shape: what is compiled is shared.

        Raises ValueError for a configuration that needs other programs.
        """
        if shape(config) != shape(self.config):
            raise ValueError(
                f"{config.preset}: its programs are not those of {self.config.preset}"
            )
        learner = dataclasses.replace(self.learner, settings=update_settings(config))
        other = dataclasses.replace(self, config=config, learner=learner)
        object.__setattr__(other, "compiled", self.compiled)
        return other

    @property
    def numbers(self) -> numbers.Numbers:
        """What of this run's settings is an argument of the update."""
        return numbers.take(self.learner.settings)

    @property
    def init(self) -> Any:
        """(base key) → fresh LearnerState, one copy."""
        if isinstance(self.devices, Devices):
            return self._once("init", lambda: jax.jit(self.learner.init))

        def body(_: Axis, key: jax.Array) -> LearnerState:
            return self.learner.init(key)

        # On a mesh every array is made in its place, never whole.
        return self._once("init", lambda: self.devices.compile(body))

    def look_ahead(self, state: LearnerState) -> None:
        """May begin the rollout after the next update, which `state` is about to make.

        Only an actor on the host can play beside an update.
        """

    def leave(self) -> None:
        """No further rollout is wanted."""

    @property
    def collect(self) -> Any:
        """(state) → Rollout of the current iteration, laid out over the devices."""
        return self._once("collect", lambda: self.devices.compile(self.collecting()))

    def collecting(self) -> Callable[[Axis, LearnerState], Rollout]:
        """The body of `collect`."""
        groups, size = self.config.rollout.groups, self.config.rollout.group_size
        play = self.play_settings("sampled")
        branching = self.branching

        def body(axis: Axis, state: LearnerState) -> Rollout:
            here = groups * size // axis.size
            traj_N = axis.index() * here + jnp.arange(here, dtype=jnp.int32)
            traj_N = placement.spread(traj_N)
            group_N = traj_N // size

            def now(job: str) -> jax.Array:
                return draws.of_iteration(state.key, job, state.iteration)

            task_N = train_tasks(self.env, now("tasks"), group_N)
            params, version = sampler(state)
            params = placement.gathered(params)
            speak = policy_speaks(self.learner.policy, params, self.env, play)
            rolled = rollout(
                speak,
                self.env,
                play,
                now("rollout"),
                task_N,
                traj_N,
                group_N,
                version,
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

        return body

    @property
    def update(self) -> Any:
        """(state, steps, tokens) → (state, metrics, seen); the state is consumed."""
        program, given = self.update_of_numbers, self.devices.replicate(self.numbers)
        return lambda *tables: program(given, *tables)

    @property
    def update_of_numbers(self) -> Any:
        """`update` before it is given this run's numbers, which come first."""
        return self._once(
            "update", lambda: self.devices.compile(self.updating(), donate=(1,))
        )

    def updating(self) -> Callable[..., Any]:
        """The body of `update`, its numbers before the state."""
        learner = self.learner

        def body(
            axis: Axis,
            given: numbers.Numbers,
            state: LearnerState,
            steps: Steps,
            tokens: Tokens,
        ):
            settings = numbers.put(learner.settings, given)
            the = dataclasses.replace(learner, settings=settings)
            return the.update(axis, state, steps, tokens)

        return body

    @property
    def trajectories_per_device(self) -> int:
        return self.learner.settings.trajectories // self.devices.numbered

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
        return self._once(f"evaluator {decoding}", lambda: self._evaluator(decoding))

    def _evaluator(self, decoding: str) -> Evaluator:
        batch = self.config.rollout.groups * self.config.rollout.group_size
        settings = dataclasses.replace(
            self.play_settings(decoding), on_time_limit="terminal"
        )
        return Evaluator(self.learner.policy, self.env, settings, self.devices, batch)

    def clone(
        self,
        state: LearnerState,
        measure: Callable[[Any], float],
        tell: Callable[[int, float], None],
    ) -> Any:
        """Policy parameters after the warm start."""
        key = draws.key_of(state.key, "clone")
        return self.cloning(state.policy, key, measure, tell)

    def with_similar_states(self, played: Rollout, threshold: float) -> Rollout:
        """The rollout with one anchor for observations that read alike (GiGPO)."""
        steps = anchors.by_similar_text(
            self.devices, self.env, played.steps, played.tokens, threshold
        )
        return played.replace(steps=steps)

    def as_text(self, played: Rollout, seen: Any, count: int) -> list[dict[str, Any]]:
        """The first trajectories as records for people; `seen` as the update gives."""
        tables = (played.steps, played.tokens, seen)
        steps, tokens, seen = self.devices.join(tables)
        return trajectories.as_text(self.env, steps, tokens, seen, self._shown(count))

    def _shown(self, count: int) -> int:
        """How many trajectories to write: whole groups, all of the first device.

        Sequence numbers count from 0 on each device.
        """
        return trajectories.whole_groups(
            count, self.config.rollout.group_size, self.trajectories_per_device
        )

    def clone_settings(self) -> CloneSettings:
        w, own = self.config.warm_start.to_dict(), self.config.learner.microbatch
        many = pieces(self.config) if on_mesh(self.config) else 1
        return CloneSettings(**w, microbatch=own * many)

    @property
    def cloning(self) -> Cloning:
        """The warm start's program."""
        return self._once(
            "cloning",
            lambda: Cloning(
                self.devices,
                self.learner.policy,
                self.env,
                self.play_settings("sampled"),
                self.clone_settings(),
            ),
        )


# Fields of a run that no program knows: loops and files read them.
OF_THE_RUN = (
    "preset",
    "seed",
    "iterations",
    "trajectories",
    "guards",
    "eval",
    "checkpoint",
)


def shape(config: ConfigDict) -> str:
    """What decides the programs of a run, as text: equal shapes, equal programs.

    A number of `learner.numbers` counts as there or not there, whatever it is.
    """
    values = {
        name: "a number" if name in numbers.PATHS and value is not None else value
        for name, value in flat(config).items()
        if name.partition(".")[0] not in OF_THE_RUN
    }
    return repr(sorted(values.items()))


def environment(config: ConfigDict) -> Environment:
    """The environment of a config, under its context policy."""
    given = {k: v for k, v in config.env.to_dict().items() if v is not None}
    own = envs.make(**given)
    return context.wrap(own, config.context.policy, config.context.turns)


def on_mesh(config: ConfigDict) -> bool:
    return config.parallel.kind == "mesh"


def pieces(config: ConfigDict) -> int:
    """Parts that the batch of a config with a known number of devices is cut into."""
    if on_mesh(config):
        return config.parallel.data * config.parallel.fsdp
    return config.devices


def devices(config: ConfigDict) -> Devices | Mesh:
    """The local devices of a config, under its wrapper."""
    if not on_mesh(config):
        return Devices.local(config.devices)
    p = config.parallel
    return Mesh.local(p.data, p.fsdp, p.tensor)


def build(config: ConfigDict) -> Programs:
    """Programs for a config that `settings.check` has accepted; compiles nothing."""
    env = environment(config)
    return Programs(
        config, env, devices(config), learner(config, decoder_config(config, env))
    )


def learner(config: ConfigDict, decoder: DecoderConfig) -> Learner:
    """The networks of this size with the settings of a config."""
    settings = update_settings(config)
    critic = None
    if config.critic.kind != "none":
        own = config.critic.trunk == "own"
        scale = config.critic.scale
        critic = Critic(decoder, scale) if own else ValueHead(scale)
    return Learner(Policy(decoder), critic, settings)
