"""Stored episodes under every estimator of credit, from what the run wrote down.

An episode file holds rewards, values, lengths and state keys (`trajectories`), so the
advantage of a step can be worked out again by another estimator. What the file lacks
is not made up: such an estimator is left out, with the reason.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from steppo_jax import credit, methods, records
from steppo_jax.credit import Estimator

Episode = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Recredit:
    """Advantages of stored episodes by one estimator, before any normalisation."""

    estimator: str
    settings: str  # such as "gamma=0.99, lam=0.95"
    own: bool  # the estimator the run was trained with
    steps: list[list[float]]  # by episode and step; the mean over a step's tokens
    tokens: list[list[list[float]]] | None  # by token too, where the estimator tells


def of_episodes(
    episodes: Sequence[Episode], config: ml_collections.ConfigDict
) -> tuple[list[Recredit], dict[str, str]]:
    """(every estimator that the episodes allow, why the others are left out).

    The run's own estimator has the run's settings, every other one those of the
    preset that ships with it. Rewards are the environment's: a KL term in the reward
    is not stored.
    """
    own = config.credit.estimator
    found, left_out = [], {}
    for name in sorted(credit.names(), key=lambda name: name != own):
        entry = credit.get(name)
        reason = _missing(entry, episodes, config)
        if reason:
            left_out[name] = reason
        elif episodes:
            found.append(_one(entry, episodes, config))
    return found, left_out


def options_of(entry: Estimator, config: ml_collections.ConfigDict) -> records.Record:
    """Settings of an estimator: the run's if it is the run's own, else its preset's."""
    if entry.name == config.credit.estimator:
        given = {f"credit.{k}": x for k, x in config.credit.to_dict().items()}
    else:
        given = next(
            m.fields
            for m in methods.METHODS.values()
            if m.fields["credit.estimator"] == entry.name
        )
    named = {name: given.get(f"credit.{name}") for name in entry.options}
    return {name: value for name, value in named.items() if value is not None}


def _missing(entry: Estimator, episodes, config) -> str | None:
    """Why an estimator cannot be worked out, or None."""
    steps = [step for episode in episodes for step in episode["steps"]]
    if entry.critic != "none" and config.critic.kind == "none":
        return "the run has no critic"
    if entry.critic == "token" and not all("token_value" in s for s in steps):
        return "no value at every token is stored (the run's critic reads prompts)"
    if entry.needs_branching and not all("branch_advantage" in s for s in steps):
        return "no advantage was measured by branching"
    if entry.needs_state_keys and not all("state_key" in s for s in steps):
        return "state keys are not stored in these files"
    if entry.needs_groups:
        size = config.rollout.group_size
        counts = collections.Counter(episode["group"] for episode in episodes)
        if size == 1:
            return "groups of one: rollout.group_size=1 leaves nothing to compare with"
        if any(count < size for count in counts.values()):
            return f"groups are not stored whole ({size} episodes each)"
    if entry.critic != "none" and config.env.on_time_limit == "bootstrap":
        cut = [e for e in episodes if e["truncated"]]
        if not all("next_value" in e for e in cut):
            return "the value beyond the limit is not stored"
    return None


def num_tokens(step: Mapping[str, Any]) -> int:
    """Response tokens of a step; older files have only the words."""
    return step.get("tokens", len(step["response"].split()))


def _one(entry: Estimator, episodes: Sequence[Episode], config) -> Recredit:
    rows = [
        (e, t, s) for e, ep in enumerate(episodes) for t, s in enumerate(ep["steps"])
    ]
    lengths = [num_tokens(step) for _, _, step in rows]
    shape = (len(rows), max(1, *lengths))
    mask, reward, value = (np.zeros(shape, np.float32) for _ in range(3))
    for row, ((_, _, step), length) in enumerate(zip(rows, lengths, strict=True)):
        mask[row, :length] = 1
        reward[row, max(length - 1, 0)] = step["reward"]
        values = step.get("token_value", step["value"])
        value[row, : length if "token_value" in step else None] = values
    options = options_of(entry, config)
    official = entry.name == config.credit.estimator and config.credit.official
    inputs: dict[str, Any] = {}
    if entry.critic != "none":
        inputs["value_BL"] = value
        if not official:
            last = [t == len(episodes[e]["steps"]) - 1 for e, t, _ in rows]
            ends = [
                episodes[e] if at else {}
                for (e, _, _), at in zip(rows, last, strict=True)
            ]
            inputs["truncated_B"] = np.array([bool(e.get("truncated")) for e in ends])
            inputs["next_value_B"] = np.array(
                [e.get("next_value", 0.0) for e in ends], np.float32
            )
    if entry.needs_groups:
        inputs["group_id_B"] = np.array([episodes[e]["group"] for e, _, _ in rows])
    if entry.needs_state_keys:
        inputs["state_key_B"] = np.array([s["state_key"] for _, _, s in rows])
    if entry.needs_branching:
        inputs["branch_advantage_B"] = np.array(
            [s["branch_advantage"] for _, _, s in rows], np.float32
        )
    advantage_BL, _ = credit.from_rows(
        entry.name,
        reward,
        mask,
        np.array([e for e, _, _ in rows]),
        np.array([t for _, t, _ in rows]),
        **inputs,
        **options,
        official=official,
        normalise="none",
    )
    by_token = [
        x[:n].tolist() for x, n in zip(np.asarray(advantage_BL), lengths, strict=True)
    ]
    nested: list[list[list[float]]] = [[] for _ in episodes]
    for (e, _, _), tokens in zip(rows, by_token, strict=True):
        nested[e].append(tokens)
    return Recredit(
        estimator=entry.name,
        settings=", ".join(f"{name}={x}" for name, x in options.items()),
        own=entry.name == config.credit.estimator,
        steps=[
            [float(np.mean(x)) if x else 0.0 for x in episode] for episode in nested
        ],
        tokens=nested if entry.level == "token" else None,
    )
