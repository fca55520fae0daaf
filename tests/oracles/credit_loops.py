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


def adaptive(lam, lam_alpha, length):
    return lam if lam_alpha is None else max(0.0, 1 - 1 / (lam_alpha * max(length, 1)))


def step_gae(data, gamma, lam=None, lam_alpha=None, official=False):
    advantage, target = {}, {}
    chosen = lam
    for e, episode in enumerate(data):
        lam = adaptive(chosen, lam_alpha, len(episode.steps))
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


def num_tokens(episode):
    return sum(len(step.token_value) for step in episode.steps)


def token_gae(data, gamma, lam=None, lam_alpha=None, official=False):
    advantage, target = {}, {}
    chosen = lam
    for e, episode in enumerate(data):
        lam = adaptive(chosen, lam_alpha, num_tokens(episode))
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


def well_conditioned(data, gamma):
    """No group of returns differs by little more than float32 rounds them by."""
    numbers = {}
    for official in (False, True):
        for e, x in enumerate(returns(data, official)):
            numbers.setdefault((official, data[e].group), []).append(x)
        for key, x in discounted(data, gamma, official).items():
            state = data[key[0]].steps[key[1]].state_key
            numbers.setdefault((official, data[key[0]].group, state), []).append(x)
    spreads = ((max(x) - min(x), max(map(abs, x))) for x in numbers.values())
    return all(spread == 0 or spread > 0.05 * size for spread, size in spreads)


def discounted(data, gamma, official):
    """{(e, t): Σ_k γ^{k−t} r_k}."""
    rewards = [step_rewards(episode, official) for episode in data]
    return {
        (e, t): sum(gamma ** (k - t) * r[k] for k in range(t, len(r)))
        for e, r in enumerate(rewards)
        for t in range(len(r))
    }


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


def bi_level_gae(data, gamma, lam=None, lam_alpha=None, token_gamma=1.0):
    advantage, target = {}, {}
    chosen = lam
    for e, episode in enumerate(data):
        lam = adaptive(chosen, lam_alpha, num_tokens(episode))
        steps, end = episode.steps, len(episode.steps)
        for t in reversed(range(end)):
            n = len(steps[t].token_value)
            advantage[e, t], target[e, t] = [0.0] * n, [0.0] * n
            if n == 0:
                continue
            following = t + 1  # the next step that has tokens
            while following < end and not steps[following].token_value:
                following += 1
            later = sum(
                gamma ** (k - t) * steps[k].reward for k in range(t + 1, following)
            )
            if following < end:
                then = steps[following]
                later += gamma ** (following - t) * (
                    sum(then.token_reward[:-1])
                    + then.token_value[-1]
                    + lam * advantage[e, following][-1]
                )
            else:
                later += gamma ** (end - t) * end_value(episode, False)
            rewards, values = steps[t].token_reward, steps[t].token_value
            a = rewards[-1] + later - values[-1]
            advantage[e, t][-1] = a
            for i in reversed(range(n - 1)):
                a = (
                    rewards[i]
                    + token_gamma * values[i + 1]
                    - values[i]
                    + token_gamma * lam * a
                )
                advantage[e, t][i] = a
            target[e, t] = [x + v for x, v in zip(advantage[e, t], values)]
    return advantage, target


def rloo(data, official=False):
    total = returns(data, official)
    result = [0.0] * len(data)
    for members in by_group(data).values():
        for e in members:
            others = [total[f] for f in members if f != e]
            if others:
                result[e] = total[e] - sum(others) / len(others)
            else:
                result[e] = total[e] if official else 0.0
    advantage = on_every_step(data, result)
    return advantage, dict.fromkeys(advantage, 0.0)


def reinforce_pp_baseline(data, official=False):
    return grpo(data, divide_by_std=False, official=official)


def reinforce_pp(data, gamma, official=False):
    advantage = {}
    for e, episode in enumerate(data):
        rewards = step_rewards(episode, False)
        for t, step in enumerate(episode.steps):
            tokens = step.token_reward
            n = len(tokens)
            if official:
                later = 0.0
                inside = [
                    sum(gamma ** (j - i) * tokens[j] for j in range(i, n))
                    for i in range(n)
                ]
            else:
                later = sum(
                    gamma ** (k - t) * rewards[k] for k in range(t + 1, len(rewards))
                )
                inside = [sum(tokens[i:]) for i in range(n)]
            advantage[e, t] = [x + later for x in inside]
    return advantage, advantage


def gigpo(data, gamma, divide_by_std=True, step_weight=1.0, official=False):
    episode_level, zeros = grpo(data, divide_by_std, official)
    future, clusters = discounted(data, gamma, official), {}
    for e, episode in enumerate(data):
        for t, step in enumerate(episode.steps):
            clusters.setdefault((episode.group, step.state_key), []).append((e, t))
    advantage = {}
    for members in clusters.values():
        scaled = standardise(
            [future[key] for key in members], divide_by_std, ddof=1 if official else 0
        )
        for key, x in zip(members, scaled):
            advantage[key] = episode_level[key] + step_weight * x
    return advantage, zeros


def trajectory_return(data, divide_by_std=True):
    total = returns(data, False)
    advantage = {}
    for members in by_group(data).values():
        keys = [(e, t) for e in members for t in range(len(data[e].steps))]
        for key, x in zip(
            keys, standardise([total[e] for e, _ in keys], divide_by_std)
        ):
            advantage[key] = x
    return advantage, dict.fromkeys(advantage, 0.0)


def monte_carlo(data):
    advantage = {
        (e, t): step.branch_advantage
        for e, episode in enumerate(data)
        for t, step in enumerate(episode.steps)
    }
    return advantage, dict.fromkeys(advantage, 0.0)


# What the contract tests run: (estimator, settings, loop).
CASES = [
    ("step_gae", dict(gamma=0.9, lam=0.8), step_gae),
    ("step_gae", dict(gamma=0.9, lam_alpha=0.6), step_gae),
    ("token_gae", dict(gamma=0.9, lam=0.8), token_gae),
    ("token_gae", dict(gamma=0.9, lam_alpha=0.4), token_gae),
    ("bi_level_gae", dict(gamma=0.9, lam=0.8), bi_level_gae),
    ("bi_level_gae", dict(gamma=0.9, lam=0.8, token_gamma=0.7), bi_level_gae),
    ("bi_level_gae", dict(gamma=0.9, lam_alpha=0.4), bi_level_gae),
    ("grpo", dict(), grpo),
    ("grpo", dict(divide_by_std=False), grpo),
    ("rloo", dict(), rloo),
    ("reinforce_pp", dict(gamma=0.9), reinforce_pp),
    ("reinforce_pp_baseline", dict(), reinforce_pp_baseline),
    ("gigpo", dict(gamma=0.5), gigpo),
    (
        "gigpo",
        dict(gamma=0.5, divide_by_std=False, step_weight=0.5),
        gigpo,
    ),
    ("trajectory_return", dict(), trajectory_return),
    ("trajectory_return", dict(divide_by_std=False), trajectory_return),
    ("monte_carlo", dict(), monte_carlo),
]
