"""Sums of loss and gradient over one minibatch, and the step they lead to.

Nothing here divides except `mean`, which runs after the sums were added over
slices and devices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import struct

from steppo_jax import masked, objective, placement
from steppo_jax.learner import forward, microbatch
from steppo_jax.models import lora
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
    # [S, L] what the advantage counts times, and where that was cut; or None
    behaviour: tuple[jax.Array, jax.Array] | None
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

    The gradient is to what is trained of `params`. A ratio that couples sequences
    takes its sums from a first pass without gradient over the whole minibatch, all
    slices and devices.
    """
    t = tables
    trained, fixed = lora.split(params)
    coupled = coupled_sums(axis, policy, params, t, order_S, count, settings)

    def body(index, real):
        inputs, wanted = forward.select(t.tokens, index), spoken(t, index, real)

        def loss(trained):
            params, temperature = lora.join(trained, fixed), settings.temperature
            found = forward.log_probs(policy, params, inputs, temperature, wanted)
            sums = policy_sums(t, index, real, *found, coupled, settings)
            return sums.loss, sums

        return jax.grad(loss, has_aux=True)(trained)

    return add_up(body, order_S, count, settings.microbatch)


def policy_sums(
    t: Tables, index, real, log_prob, entropy, coupled, settings
) -> LossSums:
    """The policy's loss over a slice of sequences, from its log-probs [m, L]."""
    advantage = t.advantage[index]
    if t.behaviour is not None:
        advantage = advantage * t.behaviour[0][index]
    return objective.policy_loss(
        log_prob,
        t.old_log_prob[index],
        advantage,
        jnp.where(real[:, None], t.step_id[index], NO_STEP),
        t.weights[0][index],
        t.weights[1][index],
        settings.policy_objective,
        t.traj_id.shape[0],
        entropy,
        ref_log_prob_SL=None if t.ref_log_prob is None else t.ref_log_prob[index],
        ratio_sums=coupled,
        traj_id_B=t.traj_id if settings.objective.ratio == "trajectory" else None,
    )


def spoken(t: Tables, index, real) -> jax.Array:
    """[m, L] the places of a slice whose log-probs the policy's loss reads."""
    return (t.step_id[index] != NO_STEP) & real[:, None]


def coupled_sums(axis: Axis, policy, params, t: Tables, order_S, count, settings):
    """For a ratio that couples sequences, Σ log-ratio and token count per step of the
    minibatch, over all slices and devices; None for any other ratio.
    """
    if settings.objective.ratio not in objective.COUPLED:
        return None
    rows = t.traj_id.shape[0]

    def body(sums, index, real):
        inputs, wanted = forward.select(t.tokens, index), spoken(t, index, real)
        log_prob, _ = forward.log_probs(
            policy, params, inputs, settings.temperature, wanted
        )
        step_id = jnp.where(real[:, None], t.step_id[index], NO_STEP)
        more = objective.ratio_sums(log_prob, t.old_log_prob[index], step_id, rows)
        return jax.tree.map(jnp.add, sums, more)

    zero = objective.RatioSums(jnp.zeros((rows,)), jnp.zeros((rows,)))
    walked = microbatch.walk(body, zero, order_S, count, settings.microbatch)
    return axis.sum(walked)


def of_critic(
    critic: Critic, trained, fixed, tables: Tables, order_S, count, settings
) -> tuple[dict, LossSums]:
    """Gradient of the summed value loss over the first `count` of order_S.

    It is taken to `trained`; `fixed` is the rest of the critic's variables.

    A step critic is trained where it is read: at the last prompt token, so it sees
    the prompt columns only. A token critic is trained at every response token, on
    the value at the place before it.
    """
    t = tables
    columns = t.tokens.token.shape[1] if t.per_token else t.value_step.shape[1]

    def body(index, real):
        inputs = forward.select(t.tokens, index, columns)

        def loss(trained):
            value = critic.apply(lora.join(trained, fixed), *inputs)
            sums = value_sums(t, index, real, value, settings.value_clip)
            return sums.loss, sums

        return jax.grad(loss, has_aux=True)(trained)

    return add_up(body, order_S, count, settings.microbatch)


def value_sums(t: Tables, index, real, value, value_clip) -> LossSums:
    """The critic's loss over a slice of sequences, from its values [m, columns]."""
    if t.per_token:
        value, mask = forward.after(value), t.tokens.response_mask[index]
        weight, unit = (x[index] for x in t.critic_weights)
        old, target = t.old_value[index], t.target[index]
    else:
        step = t.value_step[index]
        mask = step != NO_STEP
        weight = unit = mask.astype(masked.real())
        old, target = masked.take(t.old_value, step), masked.take(t.target, step)
    return objective.value_loss(
        value, old, target, mask & real[:, None], weight, unit, value_clip
    )


def add_up(part, order_S, count, size: int) -> tuple:
    """Adds `part(index, real) → (gradient, sums)` over the first `count` of order_S.

    `sums` is a `LossSums` or a tree of them.
    """

    def body(carry, index, real):
        (grads, sums), (more, others) = carry, part(index, real)
        merged = jax.tree.map(objective.merge, sums, others, is_leaf=_is_sums)
        more = placement.settled(more)
        return jax.tree.map(jnp.add, grads, more), merged

    index = jax.ShapeDtypeStruct((size,), order_S.dtype)
    shapes = jax.eval_shape(part, index, jax.ShapeDtypeStruct((size,), bool))
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return microbatch.walk(body, placement.settled(zero), order_S, count, size)


def _is_sums(x) -> bool:
    return isinstance(x, LossSums)


def over_devices(axis: Axis, grads, sums) -> tuple:
    """Gradient and sums (one or a tree of them) of all devices together."""

    def everywhere(x: LossSums) -> LossSums:
        return objective.over_devices(x, axis)

    return axis.sum(grads), jax.tree.map(everywhere, sums, is_leaf=_is_sums)


def mean(grads, count):
    """The gradient of the mean loss: the one division of summed gradients."""
    return jax.tree.map(lambda g: masked.divide(g, count), grads)


def step(
    optimizer: optax.GradientTransformation, grads, count, opt_state, params
) -> tuple[dict, optax.OptState, jax.Array]:
    """Divides the summed gradient by the count and takes one optimizer step.

    Returns (params, optimizer state, norm of the mean gradient before clipping).
    """
    grads = mean(grads, count)
    change, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, change), opt_state, optax.tree.norm(grads)
