"""The programs of a run in which a language model plays in text.

What differs from `steppo_jax.programs`: the actor runs on the host with the engine,
parameters come from a checkpoint, and cloning shows the expert's words. The learner is
the same.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from steppo_jax import draws, envs, hosts, placement, programs
from steppo_jax import trajectories as trajectory_records
from steppo_jax.actor.rollout import Rollout, train_tasks
from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.credit.similarity import state_keys
from steppo_jax.engine import Engine, spread
from steppo_jax.engine.device import bytes_held
from steppo_jax.learner.state import LearnerState, sampler
from steppo_jax.mesh import Mesh
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.parallel import Axis
from steppo_jax.programs import Programs
from steppo_jax.progress import PRINTED, Watch
from steppo_jax.text import cloning, sharing, source, tables
from steppo_jax.text.environment import OnDevice
from steppo_jax.text.episodes import Episode, Job, PlaySettings, Tally, play
from steppo_jax.text.evaluator import TextEvaluator, jobs_of
from steppo_jax.text.prompts import Prompter
from steppo_jax.text.source import Source
from steppo_jax.text.speaker import Speaker
from steppo_jax.text.stage import Inline, Stage

BRIEF = "Say one action."  # instead of the rules, for a model that was taught them


class Abandoned(Exception):
    """Nobody waits for these episodes any longer."""


@dataclasses.dataclass(frozen=True)
class TextPrograms(Programs):
    """As `Programs`, for a config with `lm.weights`."""

    source: Source
    chat: ChatTokenizer
    watch: Watch = PRINTED  # tells how far a long play is
    alone: Any = dataclasses.field(
        init=False, default_factory=threading.RLock
    )  # one play at a time: the engine and its environments are not shared
    leaving: threading.Event = dataclasses.field(
        init=False, default_factory=threading.Event
    )
    ahead: list[futures.Future[Rollout]] = dataclasses.field(
        init=False, default_factory=list
    )  # what is played beside the update, at most one
    on_host: ClassVar[bool] = True

    # ---- the model -----------------------------------------------------------
    def begin(self) -> LearnerState:
        """The state with the checkpoint's weights, the critic's decoder a copy.

        Only the value head is drawn: drawing a whole model to throw it away takes
        minutes and its memory.
        """
        key = jax.random.key(self.config.seed)
        if not self.meshed:
            _, params = self.source.load(**_dtypes(self.config))
            return self.learner.start_from_weights(params, key)
        # On a mesh every array is made in its place: each device's part is read by
        # itself, and what is copied or drawn comes out of a program with places.
        sizes, mesh = self.devices.sizes, self.devices.mesh

        def where(path, shape):
            return NamedSharding(mesh, placement.of_leaf(path, shape, sizes))

        _, params = self.source.load(where, **_dtypes(self.config))
        return self._starting(params, key)

    @property
    def _starting(self) -> Any:
        """(weights, key) → the state that begins with them, on a mesh; compiled."""

        def body(_: Axis, params: Any, key: jax.Array) -> LearnerState:
            return self.learner.start_from_weights(params, key)

        return self._once("starting", lambda: self.devices.compile(body, donate=(0,)))

    @property
    def meshed(self) -> bool:
        """Whether arrays lie on a mesh."""
        return isinstance(self.devices, Mesh)

    @functools.cached_property
    def engine(self) -> Engine:
        """Made once; `refresh` gives it weights before every use."""
        lm, slots = self.config.lm, self.config.lm.slots
        if self.meshed:  # those of this process
            slots = spread.slots_here(self.devices, slots)
        return Engine(
            self.learner.policy,
            None,
            self.chat.stop,
            slots=slots,
            longest=lm.max_prompt + lm.max_new,
            decode=self.chat.decode,
            mesh=self.devices if self.meshed else None,
        )

    def engine_bytes(self) -> int:
        """Bytes that the engine holds on a device: the cache of its slots and, where
        it turns the weights (one CPU device) or gathers them (a mesh), a copy of them.
        What a prefill needs besides is not counted."""
        lm, policy = self.config.lm, self.learner.policy
        longest = lm.max_prompt + lm.max_new
        if self.meshed:
            return spread.bytes_on_one(self.devices, policy, lm.slots, longest)
        held = bytes_held(policy, lm.slots, longest)
        if jax.default_backend() == "cpu":
            fresh = jax.eval_shape(self.learner.init, jax.random.key(0))
            held += self.devices.bytes_on_one(fresh.policy)
        return held

    @functools.cached_property
    def prompter(self) -> Prompter:
        context = self.config.context
        return Prompter(
            self.chat,
            self.env.instructions if self.config.lm.rules else BRIEF,
            context.policy,
            context.turns,
            self.config.lm.max_prompt,
        )

    # ---- the actor -----------------------------------------------------------
    def play(
        self,
        params,
        jobs: list[Job],
        key,
        temperature: float,
        version: int = 0,
        tally: Tally | None = None,
    ) -> list[Episode]:
        """Plays jobs with these weights; each of several processes its share."""

        def own(jobs: list[Job]) -> list[Episode]:
            return self._play(params, jobs, key, temperature, version, tally)

        with self.alone:
            try:
                return sharing.played(jobs, own)
            finally:
                if self.meshed:
                    self.engine.leave()  # the update wants the memory

    def _play(self, params, jobs, key, temperature, version, tally) -> list[Episode]:
        self.engine.refresh(params, version)
        return play(
            self.engine,
            self._stage(),
            self.prompter,
            jobs,
            key,
            self._play_settings(temperature),
            self._tell(len(jobs)),
            tally,
        )

    def _tell(self, total: int) -> Callable[[int], None]:
        """Told of every finished episode; ends a play that nobody waits for."""
        told = self.watch.over(total)

        def tell(done: int) -> None:
            if self.leaving.is_set():
                raise Abandoned
            told(done)

        return tell

    def _play_settings(self, temperature: float) -> PlaySettings:
        return PlaySettings(
            self.config.env.max_steps, self.config.lm.max_new, temperature
        )

    def _environment(self) -> OnDevice:
        return OnDevice(self.env)

    def _stage(self) -> Stage:
        """Where episodes are acted out."""
        return Inline(self._environment)

    def _jobs(self, task_key, key, traj_N: np.ndarray, group_N: np.ndarray):
        """The episodes of an iteration."""
        tasks = self._tasks(task_key, group_N)
        return jobs_of(tasks, traj_N, group_N, key, self.config.env.max_steps)

    def _counted(self, tally: Tally) -> dict[str, float]:
        """Metrics of where episodes were acted out."""
        del tally  # in this process nothing is lost, and nobody is waited for
        return {}

    @functools.cached_property
    def _tasks(self) -> Any:
        """(key, group [N]) → a task for each trajectory, as the compiled actor has."""
        return jax.jit(functools.partial(train_tasks, self.env))

    def collect(self, state: LearnerState) -> Rollout:
        """The episodes of the current iteration, unless they are being played."""
        if self.ahead:
            return self.ahead.pop().result()
        return self._collect(sampler(state), state.key, int(state.iteration))

    def look_ahead(self, state: LearnerState) -> None:
        """Begins the next iteration's episodes with a copy of these weights.

        Not on a mesh: two threads that start collectives may start them in different
        orders on different devices, which then wait for each other for ever.
        """
        if not self.config.rollout.staleness or self.meshed:
            return
        params = jax.tree.map(jnp.copy, state.policy)
        weights = (params, jnp.copy(state.num_updates))
        after = (jnp.copy(state.key), int(state.iteration) + 1)
        thread = futures.ThreadPoolExecutor(max_workers=1)
        self.ahead.append(thread.submit(self._collect, weights, *after))
        thread.shutdown(wait=False)

    def leave(self) -> None:
        """Ends what is still being played ahead."""
        self.leaving.set()
        futures.wait(self.ahead)
        self.ahead.clear()
        self.leaving.clear()

    def _collect(self, weights, key: jax.Array, iteration: int) -> Rollout:
        """The episodes of an iteration, by these weights; the engine is not shared."""
        with self.alone:
            return self._episodes_of(weights, key, iteration)

    def _episodes_of(self, weights, key: jax.Array, iteration: int) -> Rollout:
        groups, size = self.config.rollout.groups, self.config.rollout.group_size
        traj_N = np.arange(groups * size, dtype=np.int32)

        key = self._of_host(key)

        def now(job: str) -> jax.Array:
            return draws.of_iteration(key, job, iteration)

        (params, version), play_key = weights, now("rollout")
        jobs = self._jobs(now("tasks"), play_key, traj_N, traj_N // size)
        temperature = self.config.rollout.temperature
        before, tally = self.engine.counts(), Tally()
        episodes = self.play(params, jobs, play_key, temperature, int(version), tally)
        rolled = self._tables(episodes)
        if self.meshed:
            placed = self.devices.split((rolled.steps, rolled.tokens))
            rolled = rolled.replace(steps=placed[0], tokens=placed[1])
        done, tally = sharing.summed((self.engine.counts().minus(before), tally))
        measured = done.shares() | self._counted(tally)
        return rolled.replace(episodes=Played(tuple(episodes)), measured=measured)

    def _of_host(self, key: jax.Array) -> jax.Array:
        """The key for draws of the host: on one device, as without a mesh."""
        if not self.meshed:
            return key
        kind, bits = jax.random.key_impl(key), jax.random.key_data(key)
        return jax.random.wrap_key_data(np.asarray(bits), impl=kind)

    def _tables(self, episodes: list[Episode]) -> Rollout:
        c = self.config
        return tables.of_episodes(
            episodes,
            c.env.max_steps,
            c.lm.max_prompt,
            c.lm.max_new,
            c.env.on_time_limit == "bootstrap",
        )

    def played(self, state: LearnerState) -> Rollout:
        """Shapes of what `collect` gives, from as many episodes without a turn."""
        del state
        count = self.learner.settings.trajectories
        shapes = jax.eval_shape(lambda: self._tables([Episode(Job(0, 0, {}))] * count))
        return self.devices.laid_out(shapes) if self.meshed else shapes

    # ---- what else a run asks for --------------------------------------------
    def evaluator(self, decoding: str) -> TextEvaluator:
        temperature = self.config.rollout.temperature if decoding == "sampled" else 0.0
        return TextEvaluator(
            self.env, self.play, self.config.env.max_steps, temperature
        )

    def speaker(self, params, temperature: float) -> Speaker:
        """Who speaks in one episode that is watched step by step."""
        self.engine.refresh(params, 0)
        return Speaker(
            self.env, self.engine, self.prompter, self.config.lm.max_new, temperature
        )

    def clone(
        self,
        state: LearnerState,
        measure: Callable[[Any], float],
        tell: Callable[[int, float | None], None],
    ) -> Any:
        shown = self._demonstrations()
        key = draws.key_of(self._of_host(state.key), "clone")
        return cloning.clone(
            self.learner.policy,
            shown,
            state.policy,
            key,
            measure,
            tell,
            self.watch,
            self.devices,
        )

    def _demonstrations(self) -> cloning.Shown:
        """What cloning shows."""
        lm = self.config.lm
        return cloning.Demonstrations(
            self._environment(),
            self.prompter,
            self.clone_settings(),
            self.config.env.max_steps,
            lm.max_prompt,
            lm.max_new,
        )

    def with_similar_states(self, played: Rollout, threshold: float) -> Rollout:
        turns = [
            (n * self.config.env.max_steps + t, turn.observation, e.job.group_id)
            for n, e in enumerate(played.episodes.items)
            for t, turn in enumerate(e.turns)
        ]
        rows, texts, groups = zip(*turns, strict=True)
        keys = np.array(self.devices.join(played.steps.state_key))
        keys[list(rows)] = state_keys(texts, groups, threshold)
        keys = self.devices.split(keys) if self.meshed else keys
        return played.replace(steps=played.steps.replace(state_key=keys))

    def as_text(self, played: Rollout, seen: Any, count: int) -> list[dict[str, Any]]:
        episodes = played.episodes.items
        T = self.config.env.max_steps
        steps, tokens, seen = self.devices.join((played.steps, played.tokens, seen))

        def words(row: int) -> tuple[str, str]:
            turn = episodes[row // T].turns[row % T]
            return turn.observation, turn.response

        return trajectory_records.of_steps(
            steps, tokens, seen, self._shown(count), words
        )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, eq=False)
class Played:
    """Episodes as they travel beside the tables: text, no arrays for the device."""

    items: tuple[Episode, ...]


def _dtypes(config: ConfigDict) -> dict[str, Any]:
    names = ("dtype", "remat", "remat_keep", "attention", "scan_layers")
    return {name: config.model[name] for name in names}


def build(config: ConfigDict) -> TextPrograms:
    """Programs for a checked config with `lm.weights`; reads no tensor yet.

    Raises ModelError or ChatError where the files are not what the config says.
    """
    name = config.env.name
    given = {k: v for k, v in config.env.to_dict().items() if v is not None}
    kind, env = TextPrograms, None
    if name in hosts.names():
        from steppo_jax.text.host_programs import HostPrograms as kind

        env = hosts.make(**given)
        env.check()  # before any file of a model is opened
    found = source.find(config.lm.weights)
    theirs = found.config(**_dtypes(config))
    mine = DecoderConfig(
        **config.model.to_dict(),
        vocabulary=theirs.vocabulary,
        rope_scaling=theirs.rope_scaling,
    )
    source.check_fits(mine, theirs, found.path)
    learner = programs.learner(config, mine)
    devices = programs.devices(config)
    env = envs.make(**given) if env is None else env
    return kind(config, env, devices, learner, found, found.chat())
