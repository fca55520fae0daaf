"""Optimizer steps where the critic, if there is one, has a network of its own."""

from __future__ import annotations

import jax.numpy as jnp

from steppo_jax.learner import gradients, guard
from steppo_jax.learner.layouts import Part
from steppo_jax.learner.state import LearnerState
from steppo_jax.models import lora
from steppo_jax.parallel import Axis


def step(
    axis: Axis,
    models,
    fixed_of_critic,
    optimizers,
    carry: LearnerState,
    of_policy: Part,
    of_critic: Part,
    learns,
    settings,
):
    """One optimizer step of each network on one minibatch.

    Args:
      models, optimizers: (policy's, critic's); the critic may be None.
      fixed_of_critic: what it is applied with beside what is trained of it.
      of_policy, of_critic: the minibatch as each of them passes over it.
      learns: [] bool, False while only the critic warms up.

    Returns the new state, and for each network its sums and the norm of its gradient.
    """
    (policy, critic), (policy_optimizer, critic_optimizer), parts = (
        models,
        optimizers,
        {},
    )
    if critic is not None:
        carry, parts["critic"] = _critic_step(
            axis,
            critic,
            fixed_of_critic,
            critic_optimizer,
            carry,
            of_critic.tables,
            of_critic.order,
            of_critic.count,
            settings,
        )
    count = jnp.where(learns, of_policy.count, 0)
    carry, parts["policy"] = _policy_step(
        axis,
        policy,
        policy_optimizer,
        carry,
        of_policy.tables,
        of_policy.order,
        count,
        learns,
        settings,
    )
    return carry, parts


def _policy_step(
    axis, policy, optimizer, carry, tables, order_S, count, learns, settings
):
    """None, and no work, in critic warm-up."""
    grads, sums = gradients.of_policy(
        axis, policy, carry.policy, tables, order_S, count, settings
    )
    grads, sums = gradients.over_devices(axis, grads, sums)
    trained, fixed = lora.split(carry.policy)
    params, opt_state, norm = gradients.step(
        optimizer, grads, sums.count, carry.policy_opt, trained
    )
    takes, old = guard.finite(sums, norm), (trained, carry.policy_opt)
    new = guard.unless_warming(learns, (params, opt_state), old)
    params, opt_state = guard.kept(takes, new, old)
    carry = carry.replace(
        policy=lora.join(params, fixed),
        policy_opt=opt_state,
        num_updates=carry.num_updates + (learns & takes).astype(jnp.int32),
    )
    return carry, (sums, norm)


def _critic_step(
    axis, critic, fixed, optimizer, carry, tables, order_S, count, settings
):
    grads, sums = gradients.of_critic(
        critic, carry.critic, fixed, tables, order_S, count, settings
    )
    grads, sums = gradients.over_devices(axis, grads, sums)
    params, opt_state, norm = gradients.step(
        optimizer, grads, sums.count, carry.critic_opt, carry.critic
    )
    params, opt_state = guard.kept(
        guard.finite(sums, norm),
        (params, opt_state),
        (carry.critic, carry.critic_opt),
    )
    return carry.replace(critic=params, critic_opt=opt_state), (sums, norm)
