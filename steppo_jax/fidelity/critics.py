"""Critics of both kinds for one frozen policy, fitted with the same episodes.

A run has trained one kind of critic along a moving policy. To compare estimators
their critics must be equals: both start from the policy's decoder and learn from
the same number of the frozen policy's episodes, by the run's own update.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from steppo_jax import methods, programs, settings
from steppo_jax.programs import Programs

PRESETS = {"step": "steppo", "token": "ppo"}  # critic → a method that trains it
NEVER = 2**31 - 1


def programs_for(config: ConfigDict, critic: str) -> Programs:
    """A run like `config`'s whose critic is of this kind; its policy never moves."""
    changed = config.copy_and_resolve_references()
    with changed.unlocked():
        methods.apply(changed, PRESETS[critic])
        changed.credit.gamma = 1.0
        changed.critic.warmup_iterations = 0
        for field in ("trunk", "coef", "learning_rate"):
            changed.critic[field] = settings.FIELDS[f"critic.{field}"].default
        if config.critic.scale is None:  # of a run without a critic
            changed.critic.scale = settings.FIELDS["critic.scale"].default
    settings.check(changed)
    p = programs.build(changed)
    frozen = dataclasses.replace(p.learner.settings, critic_warmup=NEVER)
    return dataclasses.replace(
        p, learner=dataclasses.replace(p.learner, settings=frozen)
    )


def fit(
    p: Programs,
    policy: Any,
    key: jax.Array,
    iterations: int,
    tell: Callable[[int, float], None],
) -> tuple[Any, float]:
    """(critic's parameters, explained variance in the last iteration).

    Args:
      policy: parameters of the policy (one copy); not changed.
      key: consumed; the same key plays the same episodes for every kind of critic.
      tell: told (iterations done, explained variance).
    """
    fresh = p.learner.start_from(p.learner.init(key), policy)
    state = p.devices.replicate(fresh)
    explained = float("nan")
    for done in range(1, iterations + 1):
        played = p.collect(state)
        state, metrics, _ = p.update(state, played.steps, played.tokens)
        metrics = jax.device_get(p.devices.first(metrics))
        explained = float(metrics["critic/explained_variance"])
        tell(done, explained)
    return p.devices.first(state.critic), explained
