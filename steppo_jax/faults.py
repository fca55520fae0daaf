"""faults/iteration_N.npz: the rows of updates that were left out, for inspection.

numpy.load("faults/iteration_000012.npz")["reward"]
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from steppo_jax.structs import Steps, Tokens

FOLDER = "faults"
MOST = 16  # files: a run that goes on failing must not fill the disk


def write(
    workdir: pathlib.Path,
    iteration: int,
    steps: Steps,
    tokens: Tokens,
    seen: Mapping[str, np.ndarray],
    skipped_U: np.ndarray,
    num_devices: int = 1,
) -> pathlib.Path | None:
    """Saves the suspect rows of one iteration; None where there are enough files.

    Every argument is joined over `num_devices`. The file has, for each suspect row,
    all fields of `Steps`, its sequence's `token`, `behaviour_log_prob` and `response`
    (where the policy spoke), `value`, `advantage`, `row` (its place in the batch) and
    `broken`: a number of the row itself is not finite; the others only stood in the
    same minibatch. `skipped` has one entry for each optimizer update.
    """
    folder = workdir / FOLDER
    path = folder / f"iteration_{iteration:06}.npz"
    folder.mkdir(exist_ok=True)
    if not path.exists() and len(list(folder.glob("*.npz"))) >= MOST:
        return None
    row_R = np.flatnonzero(seen["suspect"])
    arrays = {name: np.asarray(x)[row_R] for name, x in _columns(steps).items()}
    # A device numbers its sequences from 0.
    device_R = row_R // (steps.num_rows // num_devices)
    sequence_R = np.asarray(tokens.value_at)[row_R, 0]
    sequence_R = sequence_R + device_R * (tokens.token.shape[0] // num_devices)
    arrays["response"] = np.asarray(tokens.response_mask)[sequence_R]
    for name in ("token", "behaviour_log_prob"):
        arrays[name] = np.asarray(getattr(tokens, name))[sequence_R]
    for name in ("value", "advantage"):
        arrays[name] = np.asarray(seen[name])[row_R]
    numbers = [arrays[name] for name in ("reward", "value", "advantage")]
    fine_R = np.isfinite(np.stack(numbers)).all(axis=0)
    spoken = np.isfinite(arrays["behaviour_log_prob"]) | ~arrays["response"]
    fine_R &= spoken.all(axis=1)
    arrays |= {"row": row_R, "broken": ~fine_R, "skipped": np.asarray(skipped_U)}
    half = path.with_suffix(".part")
    with half.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(half, path)
    return path


def _columns(steps: Steps) -> dict[str, np.ndarray]:
    return {name: getattr(steps, name) for name in steps.__dataclass_fields__}
