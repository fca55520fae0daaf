"""Playing frozen panels of tasks and keeping the result of every single task."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import placement
from steppo_jax.actor.rollout import RolloutSettings, policy_speaks, rollout
from steppo_jax.envs.base import Environment
from steppo_jax.models.heads import Policy
from steppo_jax.parallel import Devices


class PanelPlayer(Protocol):
    """Plays tasks of panels and tells how each of them ended."""

    def tasks(self, panel: str, episodes: int) -> Any:
        """The first tasks of a panel."""

    def golden_steps(self, tasks: Any, outcome: dict) -> np.ndarray:
        """[N] the fewest steps that solve each task; NaN where nobody knows.

        `outcome` is that of playing them: some tell only there.
        """

    def __call__(self, params, tasks: Any, key: jax.Array) -> dict[str, np.ndarray]:
        """Outcome of every task, in order; the same key plays the same episodes."""


class Frozen:
    """The frozen panels of an on-device environment `env`."""

    env: Environment

    def tasks(self, panel: str, episodes: int) -> Any:
        """The first tasks of a panel, stacked."""
        return jax.tree.map(lambda x: np.asarray(x)[:episodes], self.env.panel(panel))

    def golden_steps(self, tasks: Any, outcome: dict) -> np.ndarray:
        """[N] the fewest steps that solve each task."""
        del outcome  # it is known without playing
        return np.asarray(jax.vmap(self.env.golden_steps)(tasks))


@dataclasses.dataclass(frozen=True)
class Evaluator(Frozen):
    """Plays tasks in batches of a fixed size, so that it compiles once.

    An episode's random draws depend on the key and its place in the panel only:
    the batch size and the number of devices do not change any result.
    """

    policy: Policy
    env: Environment
    settings: RolloutSettings
    devices: Devices
    batch: int  # episodes played at once, over all devices

    def __post_init__(self):
        if self.batch % self.devices.count:
            raise ValueError(
                f"evaluation batch {self.batch} does not divide over "
                f"{self.devices.count} devices; choose a multiple"
            )

    @functools.cached_property
    def _play(self):
        def body(axis, params, key, task_N, id_N):
            del axis  # episodes are independent
            params = placement.gathered(params)
            speak = policy_speaks(self.policy, params, self.env, self.settings)
            zero = jnp.int32(0)
            played = rollout(
                speak, self.env, self.settings, key, task_N, id_N, id_N, zero
            )
            response = played.tokens.response_mask.sum(axis=1)
            spoken_NT = response.reshape(id_N.shape[0], -1)[
                :, : self.settings.max_steps
            ]
            tokens_N = spoken_NT.sum(axis=1).astype(jnp.float32)
            return played.outcome | {"tokens": tokens_N}

        return self.devices.compile(body)

    def __call__(self, params, tasks: Any, key: jax.Array) -> dict[str, np.ndarray]:
        """Outcome of every task, in order: success, return, steps, tokens, …

        Args:
          params: replicated parameters of the policy.
          tasks: stacked tasks of a panel.
          key: consumed; the same key plays the same episodes.
        """
        total = jax.tree.leaves(tasks)[0].shape[0]
        key = self.devices.replicate(key)
        played: list[dict[str, np.ndarray]] = []
        for start in range(0, total, self.batch):
            # The last batch is filled up with repeats of its last task.
            index = np.minimum(np.arange(start, start + self.batch), total - 1)
            task_N = jax.tree.map(lambda x, i=index: np.asarray(x)[i], tasks)
            sent = self.devices.split((task_N, index.astype(np.int32)))
            outcome = self.devices.join(self._play(params, key, *sent))
            kept = min(self.batch, total - start)
            played.append({k: np.asarray(v)[:kept] for k, v in outcome.items()})
        return {k: np.concatenate([p[k] for p in played]) for k in played[0]}
