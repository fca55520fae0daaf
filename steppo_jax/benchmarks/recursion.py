"""The plain NumPy recursions: what a reader of the papers writes first.

For N trajectories of T steps each, rows in order; letters as in `structs`.
"""

from __future__ import annotations

import numpy as np


def step_gae(reward_BL, mask_BL, value_BL, steps: int, gamma: float, lam: float):
    """[B, L] A_t = δ_t + γλ A_{t+1}, δ_t = r_t + γ V_{t+1} − V_t, on each token."""
    reward_NT = (reward_BL * mask_BL).sum(1).reshape(-1, steps)
    value_NT = value_BL[:, 0].reshape(-1, steps)
    advantage_NT = np.zeros_like(reward_NT)
    after_N = next_N = np.zeros(len(reward_NT), reward_NT.dtype)
    for t in reversed(range(steps)):
        delta_N = reward_NT[:, t] + gamma * next_N - value_NT[:, t]
        after_N = advantage_NT[:, t] = delta_N + gamma * lam * after_N
        next_N = value_NT[:, t]
    return advantage_NT.reshape(-1, 1) * mask_BL


def token_gae(reward_BL, mask_BL, value_BL, steps: int, gamma: float, lam: float):
    """[B, L] the same over all response tokens of a trajectory; others are skipped."""
    shape = (-1, steps * reward_BL.shape[1])
    reward_NI, mask_NI, value_NI = (
        x.reshape(shape).T for x in (reward_BL, mask_BL, value_BL)
    )
    advantage_NI = np.zeros_like(reward_NI)
    after_N = next_N = np.zeros(reward_NI.shape[1], reward_BL.dtype)
    for i in reversed(range(len(reward_NI))):
        delta_N = reward_NI[i] + gamma * next_N - value_NI[i]
        said_N = mask_NI[i] > 0
        after_N = np.where(said_N, delta_N + gamma * lam * after_N, after_N)
        next_N = np.where(said_N, value_NI[i], next_N)
        advantage_NI[i] = after_N * said_N
    return advantage_NI.T.reshape(reward_BL.shape)
