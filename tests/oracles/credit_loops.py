"""The estimators as plain Python loops in float64, written from the papers.

Each takes episodes and settings and returns {(episode, step): advantage} (step
level) or {(episode, step): [advantage of each token]} (token level), and the value
targets in the same form.
"""

from __future__ import annotations

import math

from tests.oracles.ragged import Episode


def step_rewards(episode: Episode, official: bool) -> list[float]:
    rewards = []
    for step in episode.steps:
        if step.token_reward:
            rewards.append(sum(step.token_reward))
        else:
            rewards.append(0.0 if official else step.reward)
    return rewards


def end_value(episode: Episode, official: bool) -> float:
    return episode.next_value if episode.truncated and not official else 0.0


def step_gae(data, gamma, lam, official=False):
    advantage, target = {}, {}
    for e, episode in enumerate(data):
        rewards = step_rewards(episode, official)
        values = [s.value for s in episode.steps] + [end_value(episode, official)]
        for t in range(len(rewards)):  # the sum, not the recursion
            total = 0.0
            for k in range(t, len(rewards)):
                delta = rewards[k] + gamma * values[k + 1] - values[k]
                total += (gamma * lam) ** (k - t) * delta
            advantage[e, t] = total
            target[e, t] = total + values[t]
    return advantage, target


def token_gae(data, gamma, lam, official=False):
    advantage, target = {}, {}
    for e, episode in enumerate(data):
        # One line of tokens; the reward of a silent step joins the token before it
        # as if it were received right after that token's successor step began.
        carried_value = end_value(episode, official)
        carried_advantage = 0.0
        extra = 0.0  # undiscounted by tokens: rewards of steps without tokens
        for t in reversed(range(len(episode.steps))):
            step = episode.steps[t]
            n = len(step.token_value)
            advantage[e, t], target[e, t] = [0.0] * n, [0.0] * n
            if n == 0:
                extra += 0.0 if official else step.reward
                continue
            for i in reversed(range(n)):
                v, r = step.token_value[i], step.token_reward[i]
                delta = r + gamma * carried_value - v
                a = delta + gamma * lam * carried_advantage + extra
                extra = 0.0
                advantage[e, t][i], target[e, t][i] = a, a + v
                carried_value, carried_advantage = v, a
    return advantage, target


def returns(data, official):
    return [sum(step_rewards(ep, official)) for ep in data]


def by_group(data):
    groups: dict[int, list[int]] = {}
    for e, episode in enumerate(data):
        groups.setdefault(episode.group, []).append(e)
    return groups


def standardise(numbers, divide_by_std=True, ddof=0, raw_singletons=False):
    n = len(numbers)
    if n == 1:
        raw = numbers[0] / (1 + 1e-6) if divide_by_std else numbers[0]
        return [raw if raw_singletons else 0.0]
    mean = sum(numbers) / n
    if max(numbers) - min(numbers) < 1e-9:
        return [0.0] * n
    if not divide_by_std:
        return [x - mean for x in numbers]
    std = math.sqrt(sum((x - mean) ** 2 for x in numbers) / (n - ddof))
    return [(x - mean) / (std + 1e-6) for x in numbers]


def on_every_step(data, per_episode):
    return {
        (e, t): per_episode[e]
        for e, ep in enumerate(data)
        for t in range(len(ep.steps))
    }


def grpo(data, divide_by_std=True, official=False):
    total = returns(data, official)
    result = [0.0] * len(data)
    for members in by_group(data).values():
        scaled = standardise(
            [total[e] for e in members],
            divide_by_std,
            ddof=1 if official else 0,
            raw_singletons=official,
        )
        for e, x in zip(members, scaled):
            result[e] = x
    advantage = on_every_step(data, result)
    return advantage, dict.fromkeys(advantage, 0.0)


# Name of the estimator → (settings the contract tests give it, its loop).
ORACLES = {
    "step_gae": (dict(gamma=0.9, lam=0.8), step_gae),
    "token_gae": (dict(gamma=0.9, lam=0.8), token_gae),
    "grpo": (dict(), grpo),
}
