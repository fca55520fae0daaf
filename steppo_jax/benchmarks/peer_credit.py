"""Step and token GAE in PyTorch, as the official code goes about them.

Run by an interpreter with torch (benchmarks/peer.py). The way is the official code's
(AgentR1/StepPO, core_algos.py; docs/official.md), the words are ours: rows are
scattered into a dense trajectory × step table, and a Python loop walks back through
its steps, for token GAE through every place of every step, with all trajectories at
once. Both whiten, both give [B, L] advantages and value targets.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np

from steppo_jax.benchmarks import peer


def table(names_B: np.ndarray, index_B: np.ndarray):
    """(trajectory [B], step [B], rows [N, T]) of trajectories with any names."""
    import torch

    found, traj_B = np.unique(names_B, return_inverse=True)
    traj_B, index_B = torch.as_tensor(traj_B), torch.as_tensor(index_B)
    row_NT = torch.full((len(found), int(index_B.max()) + 1), -1)
    row_NT[traj_B, index_B] = torch.arange(len(names_B))
    return traj_B, index_B, row_NT


def step_gae(reward_BL, mask_BL, value_BL, names_B, index_B, gamma, lam):
    """One value and one reward per step."""
    import torch

    traj_B, index_B, row_NT = table(names_B, index_B)
    value_B = value_BL[:, 0]
    reward_NT, value_NT = torch.zeros(row_NT.shape), torch.zeros(row_NT.shape)
    reward_NT[traj_B, index_B] = (reward_BL * mask_BL).sum(1)
    value_NT[traj_B, index_B] = value_B
    after_N = next_N = torch.zeros(len(row_NT))
    advantage_NT = torch.empty(row_NT.shape)
    for t in reversed(range(row_NT.shape[1])):
        delta_N = reward_NT[:, t] + gamma * next_N - value_NT[:, t]
        after_N = advantage_NT[:, t] = delta_N + gamma * lam * after_N
        next_N = value_NT[:, t]
    advantage_B = advantage_NT[traj_B, index_B]
    target_B = advantage_B + value_B
    advantage_B = (advantage_B - advantage_B.mean()) / (advantage_B.std() + 1e-8)
    return advantage_B[:, None] * mask_BL, target_B[:, None] * mask_BL


def token_gae(reward_BL, mask_BL, value_BL, names_B, index_B, gamma, lam):
    """Through all response tokens of a trajectory; others are passed over."""
    import torch

    _, _, row_NT = table(names_B, index_B)
    advantage_BL, target_BL = torch.zeros_like(value_BL), torch.zeros_like(value_BL)
    after_N, next_N = torch.zeros(len(row_NT)), torch.zeros(len(row_NT))
    for t in reversed(range(row_NT.shape[1])):
        here_N = row_NT[:, t] >= 0
        row_N = row_NT[here_N, t]
        mask_NL, value_NL = mask_BL[row_N], value_BL[row_N]
        reward_NL, advantage_NL = reward_BL[row_N] * mask_NL, torch.zeros_like(value_NL)
        after, next_ = after_N[here_N], next_N[here_N]
        for j in reversed(range(value_NL.shape[1])):
            said, value = mask_NL[:, j].to(value_NL.dtype), value_NL[:, j]
            one = reward_NL[:, j] + gamma * next_ - value + gamma * lam * after
            after = said * one + (1 - said) * after
            next_ = said * value + (1 - said) * next_
            advantage_NL[:, j] = after
        advantage_BL[row_N] = advantage_NL * mask_NL
        target_BL[row_N] = (advantage_NL + value_NL) * mask_NL
        after_N[here_N], next_N[here_N] = after, next_
    said = mask_BL.sum()
    mean = (advantage_BL * mask_BL).sum() / said
    variance = ((advantage_BL - mean) ** 2 * mask_BL).sum() / said
    variance = variance * said / (said - 1)
    return (advantage_BL - mean) * torch.rsqrt(variance + 1e-8), target_BL


def run(folder: pathlib.Path, threads: int):
    """Reads what benchmarks/credit_peer.py wrote; leaves what it found beside it."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    given = np.load(folder / "given.npz")
    wide = [torch.as_tensor(given[name]) for name in ("reward", "mask", "value")]
    columns = given["trajectory"].astype(object), given["step"]
    numbers = float(given["gamma"]), float(given["lam"])

    def job(function):
        def call():
            call.found = function(*wide, *columns, *numbers)

        return call

    jobs = {f.__name__: job(f) for f in (step_gae, token_gae)}
    for name, call in jobs.items():
        call()
        np.savez(folder / f"{name}.npz", *(x.numpy() for x in call.found))
    about = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    peer.serve(jobs, about)


if __name__ == "__main__":
    run(pathlib.Path(sys.argv[1]), **peer.numbers())
