"""A critic on the policy's trunk: one pass, one loss, one optimizer step for both.

    loss = mean policy loss + coef · mean value loss

The gradient of the value loss reaches the trunk, scaled by `coef`; the trunk learns
from both. One learning rate, and one clip by the norm of the whole gradient. Adam
works entry by entry, so its moments are kept apart for policy and head, which changes
nothing except in critic warm-up: only the head and its moments move then, and the
policy begins as fresh as with a critic of its own.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from steppo_jax import masked
from steppo_jax.learner import forward, gradients, guard
from steppo_jax.learner.gradients import Tables
from steppo_jax.learner.state import LearnerState
from steppo_jax.models import lora
from steppo_jax.models.heads import Policy, ValueHead
from steppo_jax.parallel import Axis
from steppo_jax.structs import NO_STEP


def gradient(
    axis: Axis,
    policy: Policy,
    head: ValueHead,
    params,
    tables: Tables,
    order_S,
    count,
    learns,
    settings,
):
    """Gradient and sums over the first `count` of order_S, on this device.

    The two losses are means over different things (say tokens and steps), but one
    backward pass gives one sum. So the policy's sum is first put into the units of
    the critic's: Σ_total = coef · Σ_value + (n_value / n_policy) · Σ_policy, and
    Σ_total / n_value is the loss. Both counts are known without a forward pass.

    Args:
      params: (policy's, head's).
      learns: [] bool, False in warm-up: no policy loss, and none to the trunk.

    Returns:
      (gradient of Σ_total to what is trained of both,
      {"critic": LossSums, "policy": LossSums}).
    """
    t = tables
    trained, fixed = lora.split(params[0])
    coupled = gradients.coupled_sums(
        axis, policy, params[0], t, order_S, count, settings
    )
    n_policy, n_value = axis.sum(_counts(t, order_S, count))
    share = masked.select(masked.divide(n_value, n_policy), learns)

    def body(rows, real):
        wanted = gradients.spoken(rows, real)

        def loss(both):
            trained, of_head = both
            params = (lora.join(trained, fixed), of_head)
            *found, value = forward.log_probs_and_values(
                policy,
                head,
                params,
                rows["inputs"],
                settings.temperature,
                learns,
                wanted,
            )
            if not t.per_token:
                value = value[:, : t.value_step.shape[1]]
            acted = gradients.policy_sums(t, rows, real, *found, coupled, settings)
            valued = gradients.value_sums(t, rows, real, value, settings.value_clip)
            total = settings.critic_coef * valued.loss + share * acted.loss
            return total, {"critic": valued, "policy": acted}

        return jax.grad(loss, has_aux=True)((trained, params[1]))

    return gradients.add_up(body, t.rows(), order_S, count, settings.microbatch)


def _counts(t: Tables, order_S, count) -> tuple[jax.Array, jax.Array]:
    """Σ count of the policy's and of the critic's loss in the minibatch, here."""
    some = jnp.arange(order_S.shape[0]) < count
    chosen_S1 = jnp.zeros((len(t.step_id),), bool).at[order_S].set(some)[:, None]
    responded = (t.step_id != NO_STEP) & chosen_S1
    n_policy = masked.select(t.weights[1], responded).sum()
    if t.per_token:
        return n_policy, masked.select(t.critic_weights[1], responded).sum()
    return n_policy, ((t.value_step != NO_STEP) & chosen_S1).sum().astype(masked.real())


def step(
    axis: Axis,
    policy: Policy,
    head: ValueHead,
    carry: LearnerState,
    tables: Tables,
    order_S,
    count,
    learns,
    settings,
):
    """One optimizer step of policy and head together; of the head alone in warm-up.

    Returns the new state, and for each network its sums and the norm of its part of
    the mean gradient.
    """
    params = (carry.policy, carry.critic)
    grads, sums = gradient(
        axis, policy, head, params, tables, order_S, count, learns, settings
    )
    grads, sums = gradients.over_devices(axis, grads, sums)
    grads = gradients.mean(grads, sums["critic"].count)
    of_policy, of_head = map(optax.tree.norm, grads)
    trained, fixed = lora.split(carry.policy)
    params = (trained, carry.critic)
    clip = optax.clip_by_global_norm(settings.policy.grad_clip)
    clipped, _ = clip.update(grads, clip.init(params))
    adamw = settings.policy.adamw()
    states = (carry.policy_opt, carry.critic_opt)
    (acting, acting_opt), (valuing, valuing_opt) = (
        _stepped(adamw, *each) for each in zip(clipped, states, params)
    )

    takes = guard.finite(sums["critic"], of_head)
    takes &= guard.finite(sums["policy"], of_policy)
    old = (trained, carry.policy_opt)
    acted = guard.unless_warming(learns, (acting, acting_opt), old)
    (policy_params, policy_opt), (head_params, head_opt) = guard.kept(
        takes, (acted, (valuing, valuing_opt)), (old, (carry.critic, carry.critic_opt))
    )
    carry = carry.replace(
        policy=lora.join(policy_params, fixed),
        policy_opt=policy_opt,
        critic=head_params,
        critic_opt=head_opt,
        num_updates=carry.num_updates + (learns & takes).astype(jnp.int32),
    )
    return carry, {
        "critic": (sums["critic"], of_head),
        "policy": (sums["policy"], of_policy),
    }


def _stepped(optimizer: optax.GradientTransformation, grads, opt_state, params):
    """(parameters, optimizer state) after one step."""
    change, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, change), opt_state
