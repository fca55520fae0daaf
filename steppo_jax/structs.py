"""The two tables a rollout is made of, and what the learner adds to them.

Axis letters, used as suffixes everywhere:
  N trajectories · G group size · T steps of a trajectory · B rows of `Steps`
  S sequences · L tokens of a sequence · V vocabulary · D model width
  H heads · K head width · F MLP width · P devices

Step credit reads `Steps`; the model reads `Tokens`; token credit and the
objective join the two by `Tokens.step_id`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

NO_STEP = -1  # step_id of prompt, tool output and padding tokens
NO_SEQUENCE = -1  # value_at / next_value_at where there is no such position


@struct.dataclass
class Steps:
    """One row per interaction step, flat, in any order, padded with invalid rows."""

    reward: jax.Array  # [B] float32, environment reward of the step
    traj_id: jax.Array  # [B] int32, which trajectory
    step_index: jax.Array  # [B] int32, position in the trajectory, from 0
    group_id: jax.Array  # [B] int32, task instance shared by G trajectories
    terminated: jax.Array  # [B] bool, the task ended here
    truncated: jax.Array  # [B] bool, a limit cut the trajectory here
    state_key: jax.Array  # [B] uint32, hash of the observation the step started from
    branch_advantage: jax.Array  # [B] float32, measured by branching; NaN where not
    valid: jax.Array  # [B] bool, False for padding

    @property
    def num_rows(self) -> int:
        return self.reward.shape[0]


@struct.dataclass
class Tokens:
    """Sequences of fixed capacity. The layout is free: every layout of the same
    steps gives the same loss and gradient.

    Attention is causal by place in the sequence and stays inside a segment.
    """

    token: jax.Array  # [S, L] int32, ids as sampled and fed
    position: jax.Array  # [S, L] int32, position the model is told
    segment: jax.Array  # [S, L] int32, attention segment, 0 = padding
    step_id: jax.Array  # [S, L] int32, row of Steps the *response* token is of, or -1
    behaviour_log_prob: jax.Array  # [S, L] float32, under the sampling distribution
    policy_version: jax.Array  # [S, L] int32, learner update that sampled the token
    value_at: jax.Array  # [B, 2] int32, (sequence, place) of the last prompt token
    next_value_at: jax.Array  # [B, 2] int32, same for the true next state, or -1
    # Leading places that hold every prompt. A critic read at `value_at` needs no
    # more than these columns; L where a layout cannot promise less.
    prompt_columns: int = struct.field(pytree_node=False)

    @property
    def response_mask(self) -> jax.Array:
        """[S, L] bool, True at tokens the policy generated (trained on)."""
        return self.step_id != NO_STEP


@struct.dataclass
class Learned:
    """What the learner computes from the two tables once per iteration."""

    old_log_prob: jax.Array  # [S, L] float32, recomputed before the first update
    value: (
        jax.Array
    )  # [B] float32, V of the state each step started from; 0 without critic
    next_value: (
        jax.Array
    )  # [B] float32, V of the true next state where truncated, else 0
    token_value: jax.Array  # [S, L] float32, V before each response token; 0 if unused
    token_reward: (
        jax.Array
    )  # [S, L] float32, reward per token; sums to the step's reward


def empty_branch_advantage(num_rows: int) -> jax.Array:
    """[B] NaN: a reader that was not given measured advantages must notice."""
    return jnp.full((num_rows,), jnp.nan, jnp.float32)
