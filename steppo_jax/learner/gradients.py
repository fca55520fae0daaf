"""Sums of loss and gradient over one minibatch, and the step they lead to.

Nothing here divides except `step`, which runs after the sums were added over
slices and devices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import struct

from steppo_jax import masked, objective
from steppo_jax.learner import forward, microbatch
from steppo_jax.models.heads import Critic, Policy
from steppo_jax.objective import LossSums
from steppo_jax.parallel import Axis
from steppo_jax.structs import NO_STEP, Tokens


@struct.dataclass
class Tables:
    """All that an update reads and that does not change between minibatches."""

    tokens: Tokens
    step_id: jax.Array  # [S, L] row of the *whole-batch* step table, or -1
    traj_id: jax.Array  # [B of the whole batch]
    old_log_prob: jax.Array  # [S, L]
    ref_log_prob: jax.Array | None  # [S, L] where the loss has a KL to the reference
    advantage: jax.Array  # [S, L]
    weights: tuple[jax.Array, jax.Array]  # weight and count of the policy's loss [S, L]
    critic_weights: tuple[jax.Array, jax.Array]  # the same for a token critic
    value_step: jax.Array  # [S, C] row of Steps whose value sits at a place, or -1
    old_value: jax.Array  # [B], or [S, L] per token
    target: jax.Array  # [B], or [S, L] per token
    per_token: bool = struct.field(pytree_node=False)  # what kind of critic


def of_policy(
    axis: Axis, policy: Policy, params, tables: Tables, order_S, count, settings
) -> tuple[dict, LossSums]:
    """Gradient of the summed policy loss over the first `count` of order_S.

    A ratio that couples sequences takes its sums from a first pass without gradient
    over the whole minibatch, all slices and devices.
    """
    t = tables
    rows = t.traj_id.shape[0]
    ratio = settings.objective.ratio
    coupled = None
    if ratio in objective.COUPLED:
        coupled = axis.sum(_ratio_sums(policy, params, t, order_S, count, settings))

    def body(index, real):
        step_id = jnp.where(real[:, None], t.step_id[index], NO_STEP)
        inputs = forward.select(t.tokens, index)
        reference = None if t.ref_log_prob is None else t.ref_log_prob[index]

        def loss(params):
            log_prob, entropy = forward.log_probs(
                policy, params, inputs, settings.temperature
            )
            sums = objective.policy_loss(
                log_prob,
                t.old_log_prob[index],
                t.advantage[index],
                step_id,
                t.weights[0][index],
                t.weights[1][index],
                settings.policy_objective,
                rows,
                entropy,
                ref_log_prob_SL=reference,
                ratio_sums=coupled,
                traj_id_B=t.traj_id if ratio == "trajectory" else None,
            )
            return sums.loss, sums

        return jax.grad(loss, has_aux=True)(params)

    return _add_up(body, params, order_S, count, settings.microbatch)


def _ratio_sums(policy, params, t: Tables, order_S, count, settings):
    """Σ log-ratio and token count per step of the minibatch, on this device."""
    rows = t.traj_id.shape[0]

    def body(sums, index, real):
        log_prob, _ = forward.log_probs(
            policy, params, forward.select(t.tokens, index), settings.temperature
        )
        step_id = jnp.where(real[:, None], t.step_id[index], NO_STEP)
        more = objective.ratio_sums(log_prob, t.old_log_prob[index], step_id, rows)
        return jax.tree.map(jnp.add, sums, more)

    zero = objective.RatioSums(jnp.zeros((rows,)), jnp.zeros((rows,)))
    return microbatch.walk(body, zero, order_S, count, settings.microbatch)


def of_critic(
    critic: Critic, params, tables: Tables, order_S, count, settings
) -> tuple[dict, LossSums]:
    """Gradient of the summed value loss over the first `count` of order_S.

    A step critic is trained where it is read: at the last prompt token, so it sees
    the prompt columns only. A token critic is trained at every response token, on
    the value at the place before it.
    """
    t = tables
    columns = t.tokens.token.shape[1] if t.per_token else t.value_step.shape[1]

    def body(index, real):
        inputs = forward.select(t.tokens, index, columns)
        if t.per_token:
            mask = t.tokens.response_mask[index]
            weight, unit = (x[index] for x in t.critic_weights)
            old, target = t.old_value[index], t.target[index]
        else:
            step = t.value_step[index]
            mask = step != NO_STEP
            weight = unit = mask.astype(jnp.float32)
            old, target = masked.take(t.old_value, step), masked.take(t.target, step)

        def loss(params):
            value = critic.apply(params, *inputs)
            if t.per_token:
                value = forward.after(value)
            sums = objective.value_loss(
                value,
                old,
                target,
                mask & real[:, None],
                weight,
                unit,
                settings.value_clip,
            )
            return sums.loss, sums

        return jax.grad(loss, has_aux=True)(params)

    return _add_up(body, params, order_S, count, settings.microbatch)


def _add_up(part, params, order_S, count, size: int) -> tuple[dict, LossSums]:
    """Adds `part(index, real) → (gradient, sums)` over the first `count` of order_S."""

    def body(carry, index, real):
        (grads, sums), (more, others) = carry, part(index, real)
        return jax.tree.map(jnp.add, grads, more), objective.merge(sums, others)

    shapes = jax.eval_shape(part, order_S[:1], order_S[:1] >= 0)
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return microbatch.walk(body, zero, order_S, count, size)


def over_devices(axis: Axis, grads, sums: LossSums) -> tuple[dict, LossSums]:
    """Gradient and sums of all devices together."""
    return axis.sum(grads), objective.over_devices(sums, axis)


def step(
    optimizer: optax.GradientTransformation, grads, count, opt_state, params
) -> tuple[dict, optax.OptState, jax.Array]:
    """Divides the summed gradient by the count and takes one optimizer step.

    Returns (params, optimizer state, norm of the mean gradient before clipping).
    """
    grads = jax.tree.map(lambda g: masked.divide(g, count), grads)
    change, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, change), opt_state, optax.tree.norm(grads)
