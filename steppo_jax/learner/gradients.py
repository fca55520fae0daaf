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

OF_SEQUENCES = ("step_id", "old_log_prob", "ref_log_prob", "advantage", "behaviour")
OF_SEQUENCES += ("weights", "critic_weights", "value_step")


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

    def rows(self, columns: int | None = None) -> dict:
        """What a slice of sequences takes with it: tables [S, …].

        Args:
          columns: most places that a network reads; L by default.
        """
        found = {name: getattr(self, name) for name in OF_SEQUENCES}
        found |= {"inputs": forward.inputs(self.tokens, columns)}
        if self.per_token:
            found |= {"old_value": self.old_value, "target": self.target}
            found |= {"response_mask": self.tokens.response_mask}
        return found


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

    def body(rows, real):
        wanted = spoken(rows, real)

        def loss(trained):
            params, temperature = lora.join(trained, fixed), settings.temperature
            found = forward.log_probs(
                policy, params, rows["inputs"], temperature, wanted
            )
            sums = policy_sums(t, rows, real, *found, coupled, settings)
            return sums.loss, sums

        return jax.grad(loss, has_aux=True)(trained)

    return add_up(body, t.rows(), order_S, count, settings.microbatch)


def policy_sums(
    t: Tables, rows, real, log_prob, entropy, coupled, settings
) -> LossSums:
    """The policy's loss over a slice of sequences, from its log-probs [m, L]."""
    advantage = rows["advantage"]
    if t.behaviour is not None:
        advantage = advantage * rows["behaviour"][0]
    return objective.policy_loss(
        log_prob,
        rows["old_log_prob"],
        advantage,
        jnp.where(real[:, None], rows["step_id"], NO_STEP),
        *rows["weights"],
        settings.policy_objective,
        t.traj_id.shape[0],
        entropy,
        ref_log_prob_SL=rows["ref_log_prob"],
        ratio_sums=coupled,
        traj_id_B=t.traj_id if settings.objective.ratio == "trajectory" else None,
    )


def spoken(rows, real) -> jax.Array:
    """[m, L] the places of a slice whose log-probs the policy's loss reads."""
    return (rows["step_id"] != NO_STEP) & real[:, None]


def coupled_sums(axis: Axis, policy, params, t: Tables, order_S, count, settings):
    """For a ratio that couples sequences, Σ log-ratio and token count per step of the
    minibatch, over all slices and devices; None for any other ratio.
    """
    if settings.objective.ratio not in objective.COUPLED:
        return None
    B = t.traj_id.shape[0]

    def body(sums, rows, real):
        log_prob, _ = forward.log_probs(
            policy, params, rows["inputs"], settings.temperature, spoken(rows, real)
        )
        step_id = jnp.where(real[:, None], rows["step_id"], NO_STEP)
        more = objective.ratio_sums(log_prob, rows["old_log_prob"], step_id, B)
        return jax.tree.map(jnp.add, sums, more)

    zero = objective.RatioSums(jnp.zeros((B,)), jnp.zeros((B,)))
    size = settings.microbatch
    return axis.sum(microbatch.walk(body, zero, t.rows(), order_S, count, size))


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

    def body(rows, real):
        def loss(trained):
            value = critic.apply(lora.join(trained, fixed), *rows["inputs"])
            sums = value_sums(t, rows, real, value, settings.value_clip)
            return sums.loss, sums

        return jax.grad(loss, has_aux=True)(trained)

    return add_up(body, t.rows(columns), order_S, count, settings.microbatch)


def value_sums(t: Tables, rows, real, value, value_clip) -> LossSums:
    """The critic's loss over a slice of sequences, from its values [m, columns]."""
    if t.per_token:
        value, mask = forward.after(value), rows["response_mask"]
        weight, unit = rows["critic_weights"]
        old, target = rows["old_value"], rows["target"]
    else:
        step = rows["value_step"]
        mask = step != NO_STEP
        weight = unit = mask.astype(masked.real())
        old, target = masked.take(t.old_value, step), masked.take(t.target, step)
    return objective.value_loss(
        value, old, target, mask & real[:, None], weight, unit, value_clip
    )


def add_up(part, rows, order_S, count, size: int) -> tuple:
    """Adds `part(rows of a slice, real) → (gradient, sums)` over the first `count` of
    order_S.

    `sums` is a `LossSums` or a tree of them.
    """

    def body(carry, rows, real):
        (grads, sums), (more, others) = carry, part(rows, real)
        merged = jax.tree.map(objective.merge, sums, others, is_leaf=_is_sums)
        more = placement.settled(more)
        return jax.tree.map(jnp.add, grads, more), merged

    some = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype), rows
    )
    shapes = jax.eval_shape(part, some, jax.ShapeDtypeStruct((size,), bool))
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return microbatch.walk(body, placement.settled(zero), rows, order_S, count, size)


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
