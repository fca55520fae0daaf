"""Behaviour cloning of the scripted expert until a measured success rate.

A policy that never succeeds cannot learn from a sparse reward. Cloning stops on
success measured by playing, never on a number of steps or a loss. It trains what the
run trains: all weights, or the adapters alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from steppo_jax import draws, masked, vocabulary
from steppo_jax.actor.generate import Response
from steppo_jax.actor.rollout import RolloutSettings, rollout, train_tasks
from steppo_jax.envs.base import Environment
from steppo_jax.errors import Refused
from steppo_jax.learner import forward, microbatch
from steppo_jax.models import lora
from steppo_jax.models.heads import Policy
from steppo_jax.parallel import Axis, Devices


@dataclasses.dataclass(frozen=True)
class CloneSettings:
    """How the expert is cloned."""

    success: float  # stop when the policy's success on the train panel reaches this
    expert_noise: float  # chance of a random action: a weak, varied expert
    learning_rate: float
    episodes: int  # expert episodes per cloning update, over all devices
    check_every: int  # cloning updates between two measurements
    max_updates: int
    measured_on: int  # tasks of the train panel that the success rate is taken from
    microbatch: int

    def optimizer(self) -> optax.GradientTransformation:
        return optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(self.learning_rate)
        )

    def not_reached(self, success: float) -> NotReached:
        return NotReached(
            f"warm_start.success={self.success}: after {self.max_updates} cloning "
            f"updates the policy reaches {success:.3f}; lower the target, or raise "
            "warm_start.max_updates or lower warm_start.expert_noise"
        )


class NotReached(Refused):
    """Cloning ended before the wanted success rate."""


def expert_speaks(env: Environment, noise: float):
    """The scripted expert as the one who speaks; its log-probs are unknown (0)."""

    def speak(state, prompt_NP, key_N):
        del prompt_NP
        token_NR = jax.vmap(lambda s, k: env.expert(s, k, noise))(state, key_N)
        used_N1 = vocabulary.length(token_NR)[:, None]
        mask_NR = jnp.arange(token_NR.shape[1])[None] < used_N1
        return Response(token_NR, jnp.zeros(token_NR.shape, jnp.float32), mask_NR)

    return speak


def clone_loss(policy: Policy, params, inputs, mask_SL) -> tuple[jax.Array, jax.Array]:
    """(sum, count) of −log π over the expert's tokens."""
    log_prob, _ = forward.log_probs(policy, params, inputs, 1.0, mask_SL)
    return -masked.select(log_prob, mask_SL).sum(), mask_SL.sum().astype(jnp.float32)


def gradient(policy: Policy, params, tokens, size: int) -> tuple:
    """(sum of gradients, number of tokens) of −log π over all responses.

    The gradient is to what is trained of `params`.
    """
    trained, fixed = lora.split(params)
    order = microbatch.wanted_first(tokens.response_mask.any(axis=1))

    def body(carry, rows, real):
        inputs, mask = rows

        def loss(trained):
            wanted = mask & real[:, None]
            return clone_loss(policy, lora.join(trained, fixed), inputs, wanted)

        summed = jax.grad(loss, has_aux=True)(trained)
        return jax.tree.map(jnp.add, carry, summed)

    zero = (jax.tree.map(jnp.zeros_like, trained), jnp.float32(0))
    rows = forward.inputs(tokens), tokens.response_mask
    return microbatch.walk(body, zero, rows, *order, size)


def cloning_updates(
    policy: Policy,
    env: Environment,
    play: RolloutSettings,
    settings: CloneSettings,
    optimizer: optax.GradientTransformation,
):
    """Body that makes `check_every` cloning updates: (params, opt, key, first) → …"""

    def updates(axis: Axis, params, opt_state, key, first):
        N = settings.episodes // axis.size
        id_N = axis.index() * N + jnp.arange(N, dtype=jnp.int32)

        def one(carry, i):
            params, opt_state = carry
            this = jax.random.fold_in(key, i)
            task_N = train_tasks(env, draws.key_of(this, "tasks"), id_N)
            speak = expert_speaks(env, settings.expert_noise)
            zero = jnp.int32(0)
            play_key = draws.key_of(this, "rollout")
            shown = rollout(speak, env, play, play_key, task_N, id_N, id_N, zero)
            size = settings.microbatch
            grads, n = axis.sum(gradient(policy, params, shown.tokens, size))
            grads = jax.tree.map(lambda g: g / jnp.maximum(n, 1), grads)
            trained, fixed = lora.split(params)
            change, opt_state = optimizer.update(grads, opt_state, trained)
            params = lora.join(optax.apply_updates(trained, change), fixed)
            return (params, opt_state), None

        steps = first + jnp.arange(settings.check_every)
        after, _ = jax.lax.scan(one, (params, opt_state), steps)
        return after

    return updates


class Cloning:
    """The cloning of one environment by one shape of policy; compiled once."""

    def __init__(
        self,
        devices: Devices,
        policy: Policy,
        env: Environment,
        play: RolloutSettings,
        settings: CloneSettings,
    ):
        if settings.episodes % devices.count:
            raise ValueError(
                f"warm_start.episodes={settings.episodes} does not divide over "
                f"{devices.count} devices; choose a multiple"
            )
        self._devices, self._settings = devices, settings
        self._optimizer = settings.optimizer()
        body = cloning_updates(policy, env, play, settings, self._optimizer)
        self._program = devices.compile(body, donate=(0, 1))

    def __call__(
        self,
        params: Any,
        key: jax.Array,
        measure: Callable[[Any], float],
        tell: Callable[[int, float], None],
    ) -> Any:
        """Policy parameters (one copy) that reach `success`, as `measure` finds.

        Args:
          measure: replicated parameters → success rate by playing.
          tell: told (updates made, success) after every measurement.

        Raises:
          NotReached: if `max_updates` were not enough.
        """
        devices, settings = self._devices, self._settings
        opt_state = devices.replicate(self._optimizer.init(lora.split(params)[0]))
        params, key = devices.replicate((params, key))
        success = 0.0
        for made in range(0, settings.max_updates, settings.check_every):
            first = devices.replicate(jnp.int32(made))
            params, opt_state = self._program(params, opt_state, key, first)
            success = measure(params)
            tell(made + settings.check_every, success)
            if success >= settings.success:
                return devices.first(params)
        raise settings.not_reached(success)
