"""The third table: what the learner computes once per iteration, before any update."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import credit, masked, objective, packing
from steppo_jax.credit import CreditBatch, CreditSettings, Estimator
from steppo_jax.learner import forward, layouts
from steppo_jax.models.heads import Policy, ValueHead
from steppo_jax.parallel import Axis
from steppo_jax.structs import NO_STEP, Learned, Steps, Tokens


def token_reward(steps: Steps, tokens: Tokens) -> jax.Array:
    """[S, L] the reward of each step on its last response token, 0 elsewhere."""
    S, L = tokens.step_id.shape
    place_SL = jnp.broadcast_to(jnp.arange(L, dtype=jnp.int32)[None], (S, L))
    drop_SL = jnp.where(tokens.response_mask, tokens.step_id, steps.num_rows)
    last_B = jnp.full((steps.num_rows + 1,), -1, jnp.int32)
    last_B = last_B.at[drop_SL].max(place_SL)[:-1]
    is_last_SL = place_SL == masked.take(last_B, tokens.step_id, fill=-1)
    return jnp.where(is_last_SL, masked.take(steps.reward, tokens.step_id), 0.0)


def read(table_SC: jax.Array, at_B2: jax.Array) -> jax.Array:
    """[B] entries of a table at (sequence, place), 0 where there is none (−1)."""
    sequence, place = at_B2[:, 0], at_B2[:, 1]
    there = table_SC[jnp.maximum(sequence, 0), jnp.maximum(place, 0)]
    return jnp.where(sequence < 0, 0.0, there)


def sequences_read(at_B2: jax.Array, wanted_B: jax.Array, S: int) -> jax.Array:
    """[S] bool, True for sequences that hold a wanted (sequence, place)."""
    to = jnp.where(wanted_B & (at_B2[:, 0] >= 0), at_B2[:, 0], S)
    return jnp.zeros((S,), bool).at[to].set(True, mode="drop")


def value_places(steps: Steps, tokens: Tokens) -> jax.Array:
    """[S, prompt_columns] row of Steps whose value is read at a place, or -1."""
    S = tokens.token.shape[0]
    sequence = jnp.where(steps.valid, tokens.value_at[:, 0], S)
    row_B = jnp.arange(steps.num_rows, dtype=jnp.int32)
    empty = jnp.full((S, tokens.prompt_columns), NO_STEP, jnp.int32)
    return empty.at[sequence, tokens.value_at[:, 1]].set(row_B, mode="drop")


def learn(
    models,
    params,
    steps: Steps,
    tokens: Tokens,
    estimator: Estimator,
    temperature: float,
    size: int,
    width: int | None = None,
) -> tuple[Learned, jax.Array]:
    """The `Learned` table under the parameters the iteration starts with, and the
    entropy [S, L] at each response token.

    A critic of its own reads as few columns as it can; a `ValueHead` gets its values
    from the pass that the policy makes anyway.

    Args:
      models, params: (policy, critic or None) and their parameters.
      size: sequences per slice.
      width: of the bins that sequences are packed into; None = as they are.
    """
    (policy, critic), (policy_params, critic_params) = models, params
    S, B = tokens.token.shape[0], steps.num_rows
    whole, table = estimator.critic == "token", None
    wanted_S = sequences_read(tokens.value_at, steps.valid, S)
    wanted_S |= sequences_read(tokens.next_value_at, steps.truncated, S)
    if isinstance(critic, ValueHead):
        read_S = wanted_S | tokens.response_mask.any(axis=1)
        old_log_prob, entropy, table = layouts.whole(
            width,
            tokens,
            read_S,
            lambda laid, read: forward.shared_tables(
                policy,
                critic,
                params,
                laid,
                wanted_S if width is None else read,
                temperature,
                size,
            ),
        )
    else:
        old_log_prob, entropy = log_probs(
            policy, policy_params, tokens, temperature, size, width
        )
        if critic is not None:
            columns = tokens.token.shape[1] if whole else tokens.prompt_columns
            (table,) = layouts.whole(
                width,
                tokens,
                wanted_S,
                lambda laid, wanted: (
                    forward.value_table(
                        critic,
                        critic_params,
                        laid,
                        wanted,
                        columns if width is None else laid.token.shape[1],
                        size,
                    ),
                ),
                None if whole else read_lengths(steps, tokens),
                columns,
            )
    value = next_value = jnp.zeros((B,), masked.real())
    token_value = jnp.zeros(tokens.token.shape, masked.real())
    if table is not None:
        next_value = jnp.where(steps.truncated, read(table, tokens.next_value_at), 0.0)
        value = jnp.where(steps.valid, read(table, tokens.value_at), 0.0)
        if whole:
            token_value = masked.select(forward.after(table), tokens.response_mask)
    learned = Learned(
        old_log_prob=old_log_prob,
        value=value,
        next_value=next_value,
        token_value=token_value,
        token_reward=token_reward(steps, tokens),
    )
    return learned, entropy


def log_probs(
    policy: Policy, params, tokens: Tokens, temperature, size: int, width: int | None
) -> tuple[jax.Array, jax.Array]:
    """`forward.policy_tables` under a layout: see `learn`."""
    return layouts.whole(
        width,
        tokens,
        tokens.response_mask.any(axis=1),
        lambda laid, _: forward.policy_tables(policy, params, laid, temperature, size),
    )


def read_lengths(steps: Steps, tokens: Tokens) -> jax.Array:
    """[S] places of each sequence up to the last one that a step critic is read at."""
    after = tokens.replace(value_at=tokens.next_value_at)
    return jnp.maximum(
        packing.read_lengths(tokens, steps.valid),
        packing.read_lengths(after, steps.truncated),
    )


def assign_credit(
    axis: Axis,
    steps: Steps,
    tokens: Tokens,
    learned: Learned,
    estimator: Estimator,
    credit_settings: CreditSettings,
    normalise: str,
):
    """Advantage [S, L], value target ([B local] or [S, L]) and the credit batch.

    Step tables are gathered, so every device sees the whole batch; what comes back
    belongs to this device's sequences and rows.
    """
    B = steps.num_rows
    offset = axis.index() * B
    batch = CreditBatch(
        steps=axis.gather(steps),
        value=axis.gather(learned.value),
        next_value=axis.gather(learned.next_value),
        step_id=jnp.where(tokens.response_mask, tokens.step_id + offset, -1),
        token_value=learned.token_value,
        token_reward=learned.token_reward,
        axis=axis,
    )
    raw = credit.estimate(estimator.name, batch, credit_settings)
    advantage = credit.normalise(
        normalise, raw.advantage, batch, official=credit_settings.official
    )
    target = raw.value_target
    if estimator.level == "step":
        advantage = batch.to_tokens(advantage)
        target = jax.lax.dynamic_slice_in_dim(target, offset, B)
    return advantage, target, batch


def loss_weights(
    batch: CreditBatch, aggregate: str, constant: float | None
) -> tuple[jax.Array, jax.Array]:
    """Weight and count [S, L] of this device's tokens, on whole-batch statistics."""
    return objective.loss_weights(
        batch.steps, batch.step_id, batch.axis, aggregate, constant
    )
