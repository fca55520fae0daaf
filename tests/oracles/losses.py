"""Losses and weights as plain Python loops in float64, written from the papers.

Rows are steps: log_prob[b] is the list of log-probs of the response tokens of step
b; traj[b] and group[b] say where it belongs.
"""

from __future__ import annotations

import math


def token_loss(rho, advantage, low, high, dual):
    clipped = min(max(rho, 1 - low), 1 + high)
    loss = -min(rho * advantage, clipped * advantage)
    if dual is not None and advantage < 0:
        loss = min(loss, -advantage * dual)
    return loss


def ratios(kind, z, traj):
    """ρ of every token, from z[b] = list of log-ratios."""
    if kind == "token":
        return [[math.exp(x) for x in row] for row in z]
    tokens = [x for row in z for x in row]
    centre = sum(tokens) / len(tokens)
    out = []
    for b, row in enumerate(z):
        n = len(row)
        if n == 0:
            out.append([])
            continue
        if kind == "step":
            log_rho = sum(row) / n
        elif kind == "step_product":
            log_rho = sum(row)
        elif kind == "step_calibrated":
            log_rho = centre + sum(x - centre for x in row) / math.sqrt(n)
        else:
            mates = [
                x for c, other in enumerate(z) if traj[c] == traj[b] for x in other
            ]
            log_rho = sum(mates) / len(mates)
        out.append([math.exp(log_rho)] * n)
    return out


def mean_loss(aggregate, losses, traj, group, constant=None):
    """The mean of per-token losses[b][i] that `aggregate` stands for."""
    rows = [b for b, row in enumerate(losses) if row]
    step_mean = {b: sum(losses[b]) / len(losses[b]) for b in rows}
    if aggregate == "token":
        everything = [x for b in rows for x in losses[b]]
        return sum(everything) / len(everything)
    if aggregate == "step":
        return sum(step_mean.values()) / len(rows)
    if aggregate == "step_sum":
        return sum(sum(losses[b]) for b in rows) / len(rows)
    trajectories = sorted({traj[b] for b in rows})
    if aggregate == "constant":
        return sum(sum(losses[b]) for b in rows) / constant / len(trajectories)
    traj_mean = {}
    for n in trajectories:
        mine = [step_mean[b] for b in rows if traj[b] == n]
        traj_mean[n] = sum(mine) / len(mine)
    if aggregate == "trajectory":
        return sum(traj_mean.values()) / len(trajectories)
    groups: dict[int, dict[int, float]] = {}
    for b in rows:
        groups.setdefault(group[b], {})[traj[b]] = traj_mean[traj[b]]
    means = [sum(g.values()) / len(g) for g in groups.values()]
    return sum(means) / len(means)


def policy(
    kind,
    aggregate,
    log_prob,
    old,
    advantage,
    traj,
    group,
    *,
    low,
    high,
    dual=None,
    constant=None,
    kl=None,
    ref=None,
    kl_coef=0.0,
):
    z = [[p - q for p, q in zip(a, b)] for a, b in zip(log_prob, old)]
    rho = ratios(kind, z, traj)
    losses = [
        [token_loss(r, a, low, high, dual) for r, a in zip(rs, advs)]
        for rs, advs in zip(rho, advantage)
    ]
    if kl is not None:
        for b, row in enumerate(losses):
            for i in range(len(row)):
                d = log_prob[b][i] - ref[b][i]
                k = {"k1": d, "k2": d * d / 2, "k3": math.exp(-d) - 1 + d}[kl]
                row[i] += kl_coef * k
    return mean_loss(aggregate, losses, traj, group, constant)
