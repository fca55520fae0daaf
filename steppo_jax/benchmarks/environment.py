"""How fast environments step, and what they take of a rollout.

Random well-formed responses are drawn beforehand by playing; what is timed is the
environment alone: reset, parsing, transition, observation, reward.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from steppo_jax import programs
from steppo_jax.benchmarks.timing import alternate
from steppo_jax.parallel import Axis

EPISODES = 512  # on each device, for the steps per second
LEAST = 1e5  # steps per second
MOST = 0.10  # of a rollout


def _spoken(env, key: jax.Array, number: int):
    """(tasks [N], random well-formed responses [T, N, R]) of `number` episodes."""
    task_key, reset_key, play_key = jax.random.split(key, 3)
    tasks = jax.vmap(lambda k: env.sample_task(k, "train"))(
        jax.random.split(task_key, number)
    )
    state, _ = jax.vmap(env.reset)(jax.random.split(reset_key, number), tasks)

    def play(state, key):
        keys = jax.random.split(key, number)
        response = jax.vmap(lambda s, k: env.expert(s, k, 1.0))(state, keys)
        return jax.vmap(env.step)(state, response)[0], response

    keys = jax.random.split(play_key, env.max_steps)
    return tasks, jax.lax.scan(play, state, keys)[1]


def _replay(env, tasks, responses: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Plays the responses; sums of all it saw, so that nothing can be left out."""
    keys = jax.random.split(jax.random.key(0), responses.shape[1])
    state, first = jax.vmap(env.reset)(keys, tasks)

    def step(carry, response):
        state, seen, total = carry
        state, observation, reward, _ = jax.vmap(env.step)(state, response)
        return (state, seen + observation.sum(), total + reward.sum()), None

    start = (state, first.sum(), jnp.float32(0))
    return jax.lax.scan(step, start, responses)[0][1:]


def measure(config: ConfigDict, repeats: int) -> dict[str, Any]:
    """Of one environment, on `config.devices` devices."""
    p = programs.build(config)
    env, devices = p.env, p.devices

    def spoken(number: int):
        def body(axis: Axis, key):
            return _spoken(env, jax.random.fold_in(key, axis.index()), number)

        return devices.compile(body)(devices.replicate(jax.random.key(0)))

    replay = devices.compile(lambda _, tasks, said: _replay(env, tasks, said))
    state = devices.replicate(p.init(jax.random.key(0)))
    many, few = spoken(EPISODES), spoken(p.trajectories_per_device)
    took = alternate(
        {
            "many": lambda: replay(*many),
            "few": lambda: replay(*few),
            "rollout": lambda: p.collect(state),
        },
        repeats,
    )
    steps = EPISODES * devices.count * env.max_steps
    return {
        "environment": env.name,
        "version": env.version,
        "devices": devices.count,
        "steps_per_second": steps / took["many"].seconds,
        "cpu_seconds": took["many"].cpu_seconds,
        "spread": took["many"].spread / took["many"].seconds,
        "rollout_seconds": took["rollout"].seconds,
        "share": took["few"].seconds / took["rollout"].seconds,
        "least": LEAST,
        "most": MOST,
    }
