"""The warm start of a language model: cloning the environment's scripted expert.

Zero-shot a small model does not keep to an action format. Expert episodes are played
in text on the host, and their responses become targets for −log π, update by update,
until success measured by playing reaches what is wanted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from steppo_jax import draws
from steppo_jax.mesh import Mesh
from steppo_jax.models import lora
from steppo_jax.parallel import Axis, Devices
from steppo_jax.progress import PRINTED, Watch
from steppo_jax.structs import Tokens
from steppo_jax.text import tables
from steppo_jax.text.environment import OnDevice
from steppo_jax.text.episodes import Episode, Job, Turn
from steppo_jax.text.prompts import Prompter
from steppo_jax.warm_start import CloneSettings, NotReached, gradient


class Shown(Protocol):
    """What is cloned."""

    settings: CloneSettings

    def tokens(self, key: jax.Array) -> Tokens:
        """Expert episodes as a table, other ones for every key."""


def expert_episode(
    job: Job, env: OnDevice, prompter: Prompter, key, noise: float, max_steps: int
) -> Episode:
    """An episode in which the scripted expert speaks, its words as the model's ids.

    Every response ends with the model's first stop token; log-probs are unknown (0).
    """
    episode = Episode(job)
    observation, info = env.reset(options=job.options)
    prompt = prompter.first(observation)
    for t in range(max_steps):
        said = env.expert(jax.random.fold_in(key, t), noise)
        token = [*prompter.chat.encode(said), prompter.chat.stop[0]]
        n, before, state_key = len(token), observation, info["state_key"]
        observation, reward, over, _, info = env.step(said)
        last = t == max_steps - 1
        episode.turns.append(
            Turn(
                observation=before,
                prompt=prompt,
                state_key=state_key,
                token=np.asarray(token, np.int32),
                log_prob=np.zeros(n, np.float32),
                policy_version=np.zeros(n, np.int32),
                response=said,
                reward=reward,
                terminated=over,
                truncated=last and not over,
            )
        )
        if over or last:
            break
        prompt = prompter.next(observation, episode.past, prompt, token)
    episode.outcome = info["outcome"]
    return episode


@dataclasses.dataclass(frozen=True)
class Demonstrations:
    """Expert episodes of the train panel, drawn afresh for every cloning update."""

    env: OnDevice
    prompter: Prompter
    settings: CloneSettings
    max_steps: int
    max_prompt: int
    max_new: int

    def tokens(self, key: jax.Array) -> Tokens:
        """`settings.episodes` episodes as a table. Refused where one does not fit."""
        episodes = []
        for i in range(self.settings.episodes):
            task_key, play_key = (
                jax.random.fold_in(draws.key_of(key, job), i)
                for job in ("tasks", "rollout")
            )
            task = self.env.env.sample_task(task_key, "train")
            job = Job(i, i, {"task": task, "key": play_key})
            noise = self.settings.expert_noise
            played = expert_episode(
                job, self.env, self.prompter, play_key, noise, self.max_steps
            )
            check_length(played, self.max_new)
            episodes.append(played)
        rolled = tables.of_episodes(
            episodes, self.max_steps, self.max_prompt, self.max_new, bootstrap=False
        )
        return rolled.tokens


def check_length(episode: Episode, max_new: int) -> None:
    """Raises NotReached where the policy could not say what the expert says."""
    longest = max(len(turn.token) for turn in episode.turns)
    if longest > max_new:
        raise NotReached(
            f"lm.max_new={max_new}: the expert needs {longest} tokens; raise it"
        )


def clone(
    policy,
    shown: Shown,
    params: Any,
    key: jax.Array,
    measure: Callable[[Any], float],
    tell: Callable[[int, float | None], None],
    watch: Watch = PRINTED,
    devices: Devices | Mesh | None = None,
) -> Any:
    """Policy parameters that reach `settings.success`, as `measure` finds.

    `tell` hears of every update, most of them without a rate: one takes so long that
    whoever wants to stop should not wait for the next measurement.

    Args:
      devices: one, or a mesh that holds the parameters; None is the default device.

    Raises NotReached if `max_updates` were not enough. `params` is consumed.
    """
    settings = shown.settings
    optimizer = settings.optimizer()

    def update(_: Axis, params, opt_state, tokens: Tokens):
        grads, n = gradient(policy, params, tokens, settings.microbatch)
        grads = jax.tree.map(lambda g: g / jnp.maximum(n, 1), grads)
        trained, fixed = lora.split(params)
        change, opt_state = optimizer.update(grads, opt_state, trained)
        return lora.join(optax.apply_updates(trained, change), fixed), opt_state

    devices = Devices.local(1) if devices is None else devices
    program = devices.compile(update, donate=(0, 1))
    begin = devices.compile(lambda _, trained: optimizer.init(trained))
    opt_state = begin(lora.split(params)[0])
    success, every = 0.0, settings.check_every
    told = watch.over(every, "cloning updates before the next measurement")
    for made in range(settings.max_updates):
        tokens = devices.split(shown.tokens(jax.random.fold_in(key, made)))
        params, opt_state = jax.block_until_ready(program(params, opt_state, tokens))
        told(made % every + 1)
        if (made + 1) % every == 0:
            success = measure(params)
            tell(made + 1, success)
            if success >= settings.success:
                return params
            told = watch.over(every, "cloning updates before the next measurement")
        else:
            tell(made + 1, None)
    raise settings.not_reached(success)
