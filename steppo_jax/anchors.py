"""Anchor states by similar text: new state keys for a rollout, formed on the host.

GiGPO compares steps that started from the same observation. Where observations never
repeat word for word, `credit.similarity` lets those of one task that read alike share
a key (`credit.similarity.state_keys`). The device groups equal keys as always.
"""

from __future__ import annotations

import jax
import numpy as np

from steppo_jax.credit.similarity import state_keys
from steppo_jax.envs import context
from steppo_jax.envs.base import Environment
from steppo_jax.parallel import Devices
from steppo_jax.structs import Steps, Tokens


def by_similar_text(
    devices: Devices, env: Environment, steps: Steps, tokens: Tokens, threshold: float
) -> Steps:
    """`steps` with keys shared by valid steps of a task whose English is alike.

    Rows are taken in order of trajectory and step, so neither the number of devices
    nor the order of rows decides which observation founds a cluster. Costs one
    transfer of both tables and a comparison of texts per step and cluster.
    """
    host, shown = jax.device_get((devices.join(steps), devices.join(tokens)))
    prompts = _observations(env, host, shown, devices.numbered)
    order = np.lexsort((host.step_index, host.traj_id))
    order = order[host.valid[order]]
    english: dict[bytes, str] = {}
    for row in order:
        found = prompts[row].tobytes()
        if found not in english:
            english[found] = env.describe(prompts[row])
    texts = [english[prompts[row].tobytes()] for row in order]
    keys = np.array(host.state_key)
    keys[order] = state_keys(texts, host.group_id[order].tolist(), threshold)
    return steps.replace(state_key=devices.split(keys))


def _observations(env, steps: Steps, tokens: Tokens, devices: int) -> np.ndarray:
    """[B, observation_length] the newest observation of each row's prompt."""
    sequence, last = tokens.value_at.T
    # Sequence numbers count from 0 on each device.
    rows, sequences = len(sequence) // devices, len(tokens.token) // devices
    sequence = sequence + np.arange(len(sequence)) // rows * sequences
    places = np.arange(tokens.token.shape[1])[None]
    segment = tokens.segment[sequence]
    mine = segment == np.take_along_axis(segment, last[:, None], 1)
    prompt = np.where(mine & (places <= last[:, None]), tokens.token[sequence], 0)
    start = np.asarray(jax.vmap(context.newest)(prompt))
    at = start[:, None] + np.arange(env.observation_length)[None]
    padded = np.pad(prompt, ((0, 0), (0, env.observation_length)))
    return np.take_along_axis(padded, at, 1)
