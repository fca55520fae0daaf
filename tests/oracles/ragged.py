"""Ragged batches as plain Python lists, and every way to lay them out as tables.

Oracles read the lists; the shipped code reads the tables. What stands where
nothing should be read is NaN.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from steppo_jax.credit import CreditBatch
from steppo_jax.structs import Steps

LAYOUTS = ("rows", "packed", "merged")


@dataclasses.dataclass
class Step:
    reward: float  # of the environment
    value: float  # of the state the step starts from
    token_value: list[float]  # before each response token
    token_reward: list[float]  # not summing to `reward`: KL may be in it
    state_key: int = 0
    branch_advantage: float = 0.0


@dataclasses.dataclass
class Episode:
    group: int
    steps: list[Step]
    truncated: bool = False
    next_value: float = 0.0


def episodes(shape: list[list[int]], seed: int) -> list[Episode]:
    """Episodes with shape[e][t] response tokens in step t, numbers from `seed`.

    Half the seeds draw rewards from a few exact numbers, so that equal returns
    occur. All numbers are float32.
    """
    rng = np.random.default_rng(seed)
    coarse = rng.random() < 0.5

    def normal():
        return float(np.float32(rng.normal()))

    def number():
        return float(rng.integers(-2, 3) / 4) if coarse else normal()

    groups = rng.integers(0, 1 + len(shape) // 2, len(shape))
    return [
        Episode(
            group=int(groups[e]),
            steps=[
                Step(
                    reward=number(),
                    value=normal(),
                    token_value=[normal() for _ in range(n)],
                    token_reward=[number() for _ in range(n)],
                    state_key=int(rng.integers(0, 3)),
                    branch_advantage=normal(),
                )
                for n in lengths
            ],
            truncated=bool(rng.random() < 0.5),
            next_value=normal(),
        )
        for e, lengths in enumerate(shape)
    ]


@dataclasses.dataclass
class Laid:
    """A batch of tables, and where each step and token went."""

    batch: CreditBatch
    row: dict[tuple[int, int], int]  # (episode, step) → row
    place: dict[tuple[int, int], list[tuple[int, int]]]  # → (sequence, place) of tokens

    def read_steps(self, x_B) -> dict[tuple[int, int], float]:
        return {key: float(x_B[row]) for key, row in self.row.items()}

    def read_tokens(self, x_SL) -> dict[tuple[int, int], list[float]]:
        return {key: [float(x_SL[p]) for p in ps] for key, ps in self.place.items()}


def lay(
    data: list[Episode],
    layout: str,
    seed: int,
    *,
    num_rows: int,
    num_sequences: int,
    length: int,
    shuffle: bool = True,
    holes: bool = True,
) -> Laid:
    """Tables of fixed capacity: rows and sequences in random order, random gaps.

    Gaps between the tokens of a step are holes in its mask; without `holes` they
    stand only before and after steps.
    """
    rng = np.random.default_rng(seed)
    keys = [(e, t) for e, episode in enumerate(data) for t in range(len(episode.steps))]
    assert len(keys) <= num_rows, "capacity"
    free = rng.permutation(num_rows) if shuffle else np.arange(num_rows)
    row = {key: int(free[k]) for k, key in enumerate(keys)}

    # Sequences: lists of steps that stand one after the other.
    if layout == "rows":
        sequences = [[key] for key in keys]
    elif layout == "merged":
        sequences = [
            [(e, t) for t in range(len(ep.steps))] for e, ep in enumerate(data)
        ]
    else:
        mixed = [keys[i] for i in rng.permutation(len(keys))]
        sequences = [mixed[i : i + 3] for i in range(0, len(mixed), 3)]
    assert len(sequences) <= num_sequences, "capacity"
    spots = rng.permutation(num_sequences) if shuffle else np.arange(num_sequences)

    nan = np.full((num_sequences, length), np.nan)
    step_id = np.full((num_sequences, length), -1)
    token_value, token_reward = nan.copy(), nan.copy()
    place: dict[tuple[int, int], list[tuple[int, int]]] = {key: [] for key in keys}
    for s, sequence in zip(spots, sequences):
        sizes = [len(data[e].steps[t].token_value) for e, t in sequence]
        assert sum(sizes) <= length, "capacity"
        chosen = iter(_places(sizes, length, holes, rng))
        for e, t in sequence:
            step = data[e].steps[t]
            for v, r in zip(step.token_value, step.token_reward):
                at = (int(s), int(next(chosen)))
                step_id[at], token_value[at], token_reward[at] = row[e, t], v, r
                place[e, t].append(at)

    def column(read, fill, dtype):
        x = np.full((num_rows,), fill, dtype)
        for (e, t), r in row.items():
            x[r] = read(data[e], t, e)
        return jnp.asarray(x)

    def last(episode, t):
        return t == len(episode.steps) - 1

    steps = Steps(
        reward=column(lambda ep, t, e: ep.steps[t].reward, np.nan, np.float64),
        traj_id=column(lambda ep, t, e: 1000 - 7 * e, 993, np.int32),
        step_index=column(lambda ep, t, e: t, 0, np.int32),
        group_id=column(lambda ep, t, e: 50 - 3 * ep.group, 47, np.int32),
        terminated=column(
            lambda ep, t, e: last(ep, t) and not ep.truncated, True, np.bool_
        ),
        truncated=column(lambda ep, t, e: last(ep, t) and ep.truncated, True, np.bool_),
        state_key=column(
            lambda ep, t, e: 4_000_000_000 + ep.steps[t].state_key,
            4_000_000_000,
            np.uint32,
        ),
        branch_advantage=column(
            lambda ep, t, e: ep.steps[t].branch_advantage, np.nan, np.float64
        ),
        valid=column(lambda ep, t, e: True, False, np.bool_),
    )
    batch = CreditBatch(
        steps=steps,
        value=column(lambda ep, t, e: ep.steps[t].value, np.nan, np.float64),
        next_value=column(
            lambda ep, t, e: ep.next_value if last(ep, t) and ep.truncated else 0.0,
            np.nan,
            np.float64,
        ),
        step_id=jnp.asarray(step_id, jnp.int32),
        token_value=jnp.asarray(token_value),
        token_reward=jnp.asarray(token_reward),
    )
    return Laid(batch, row, place)


def _places(sizes: list[int], length: int, holes: bool, rng) -> list[int]:
    """Places of the tokens of steps that stand one after the other."""
    if holes:
        return sorted(rng.choice(length, sum(sizes), replace=False).tolist())
    free = length - sum(sizes)
    gaps = np.diff(np.sort(rng.integers(0, free + 1, len(sizes))), prepend=0)
    places, at = [], 0
    for size, gap in zip(sizes, gaps.tolist()):
        places += range(at + gap, at + gap + size)
        at += gap + size
    return places
