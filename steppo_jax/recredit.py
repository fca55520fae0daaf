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
ROWS, PLACES = 64, 16  # smallest tables; larger ones are powers of two times these


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


def allowed(
    episodes: Sequence[Episode], config: ml_collections.ConfigDict
) -> list[str]:
    """Names of the estimators that `of_episodes` would work out."""
    return [n for n in credit.names() if not _missing(credit.get(n), episodes, config)]


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
    options = options_of(entry, config)
    own = entry.name == config.credit.estimator
    official = own and config.credit.official
    tables, columns = _arrays(episodes)
    inputs: dict[str, Any] = {}
    if entry.critic != "none":
        inputs["value_BL"] = tables["value"]
        if not official:
            inputs |= {f"{x}_B": columns[x] for x in ("truncated", "next_value")}
    if entry.needs_groups:
        inputs["group_id_B"] = columns["group_id"]
    if entry.needs_state_keys:
        inputs["state_key_B"] = columns["state_key"]
    if entry.needs_branching:
        inputs["branch_advantage_B"] = columns["branch_advantage"]
    advantage_BL, _ = credit.from_rows(
        entry.name,
        tables["reward"],
        tables["mask"],
        columns["traj_id"],
        columns["step_index"],
        **inputs,
        **options,
        official=official,
        normalise="none",
    )
    rows = iter(np.asarray(advantage_BL))
    nested = [
        [next(rows)[: num_tokens(step)].tolist() for step in episode["steps"]]
        for episode in episodes
    ]
    return Recredit(
        estimator=entry.name,
        settings=", ".join(f"{name}={x}" for name, x in options.items()),
        own=own,
        steps=[
            [float(np.mean(x)) if x else 0.0 for x in episode] for episode in nested
        ],
        tokens=nested if entry.level == "token" else None,
    )


def _arrays(episodes: Sequence[Episode]) -> tuple[dict, dict]:
    """Tables [B, L] and columns [B] of all steps, in order.

    B and L are rounded up, so that files of about one size share a compiled program:
    a row of padding is a trajectory and a group of its own, without tokens.
    """
    steps = [step for episode in episodes for step in episode["steps"]]
    lengths = [num_tokens(step) for step in steps]
    shape = (_up(len(steps), ROWS), _up(max(lengths), PLACES))
    tables = {x: np.zeros(shape, np.float32) for x in ("mask", "reward", "value")}
    for row, (step, length) in enumerate(zip(steps, lengths, strict=True)):
        tables["mask"][row, :length] = 1
        tables["reward"][row, max(length - 1, 0)] = step["reward"]
        every = "token_value" in step
        tables["value"][row, : length if every else None] = (
            step["token_value"] if every else step["value"]
        )
    columns: dict[str, list] = collections.defaultdict(list)
    for number, episode in enumerate(episodes):
        for index, step in enumerate(episode["steps"]):
            is_last = index == len(episode["steps"]) - 1
            columns["traj_id"].append(number)
            columns["step_index"].append(index)
            columns["group_id"].append(episode["group"])
            columns["state_key"].append(step.get("state_key", 0))
            columns["branch_advantage"].append(step.get("branch_advantage", np.nan))
            columns["truncated"].append(is_last and episode["truncated"])
            beyond = episode.get("next_value", 0.0) if is_last else 0.0
            columns["next_value"].append(beyond)
    empty = {"step_index": 0, "truncated": False, "next_value": 0.0}
    for row in range(len(steps), shape[0]):
        alone = dict.fromkeys(("traj_id", "group_id", "state_key"), -1 - row)
        for name, value in ({"branch_advantage": 0.0} | empty | alone).items():
            columns[name].append(value)
    kinds = {"next_value": np.float32, "branch_advantage": np.float32}
    return tables, {k: np.array(x, kinds.get(k)) for k, x in columns.items()}


def _up(count: int, unit: int) -> int:
    """The next power of two times `unit` that is at least `count`."""
    while unit < count:
        unit *= 2
    return unit
