"""The two tables of a batch in which every row is one step, as in verl."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax import masked
from steppo_jax.credit.base import CreditBatch
from steppo_jax.structs import NO_STEP, Steps


@struct.dataclass
class RowBatch(CreditBatch):
    """A batch whose sequence b holds the response of step b: plain sums over rows."""

    def per_step(self, x_SL: jax.Array) -> jax.Array:
        return masked.select(x_SL, self.response_mask).sum(1)

    def step_reward(self, official: bool = False) -> jax.Array:
        if official:
            return self.per_step(self.token_reward)
        return self.steps.reward  # of the whole row, so it has what stood on tokens

    def ends(self) -> tuple[jax.Array, jax.Array]:
        mask, (rows, length) = self.response_mask, self.step_id.shape
        place = jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), mask.shape)
        first = jnp.where(mask, place, length).min(1)
        last = jnp.where(mask, place, -1).max(1)
        start = length * jnp.arange(rows, dtype=jnp.int32)
        return tuple(
            jnp.where(last < 0, mask.size, start + end) for end in (first, last)
        )

    def to_tokens(self, x_B: jax.Array) -> jax.Array:
        return jnp.where(self.response_mask, x_B[:, None], 0)


def row_batch(
    token_reward_BL,
    response_mask_BL,
    traj_id_B,
    step_index_B,
    group_id_B=0,
    state_key_B=0,
    value_BL=0.0,
    truncated_B=False,
    next_value_B=0.0,
    branch_advantage_B=jnp.nan,
    *,
    official: bool,
) -> RowBatch:
    """Tables from the arguments of `from_rows`; see there for what `official` does."""
    reward, mask = jnp.asarray(token_reward_BL, float), response_mask_BL != 0
    num_rows, length = reward.shape
    place = jnp.arange(length)[None]
    kept = masked.select(reward, mask)
    outside = ~mask & ~jnp.isnan(reward)  # NaN there is padding
    lost = masked.select(reward, outside).sum(1, keepdims=True)
    env_reward = kept.sum(1) + lost[:, 0]
    if not official:
        at_last = place == jnp.where(mask, place, -1).max(1, keepdims=True)
        kept = kept + jnp.where(at_last, lost, 0)

    def column(x, dtype):
        return jnp.broadcast_to(jnp.asarray(x, dtype), (num_rows,))

    truncated = column(truncated_B, bool)
    steps = Steps(
        reward=env_reward,
        traj_id=traj_id_B,
        step_index=step_index_B,
        group_id=column(group_id_B, int),
        terminated=~truncated,
        truncated=truncated,
        state_key=column(state_key_B, int),
        branch_advantage=column(branch_advantage_B, float),
        valid=jnp.ones((num_rows,), bool),
    )
    value = jnp.broadcast_to(jnp.asarray(value_BL, float), reward.shape)
    return RowBatch(
        steps=steps,
        value=value[:, 0],
        next_value=column(next_value_B, float),
        step_id=jnp.where(mask, jnp.arange(num_rows)[:, None], NO_STEP),
        token_value=value,
        token_reward=kept,
    )
