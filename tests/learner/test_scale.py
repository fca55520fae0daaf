"""Rewards ten times as large with `critic.scale` ten times as large: the same run."""

import dataclasses

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from configs import household
from steppo_jax import programs
from steppo_jax.models.heads import Critic
from tests import toy


def test_the_scale_undoes_the_size_of_the_rewards():
    rolled = toy.play()
    large = rolled.replace(
        steps=rolled.steps.replace(reward=10 * rolled.steps.reward),
        tokens=rolled.tokens,
    )
    plain = toy.learner()
    clip = dataclasses.replace(plain.settings.critic, grad_clip=100.0)
    settings = dataclasses.replace(plain.settings, critic=clip)
    scaled = dataclasses.replace(
        plain, critic=Critic(toy.DECODER, scale=10.0), settings=settings
    )
    state, metrics, seen = toy.update(plain, rolled)
    other, other_metrics, other_seen = toy.update(scaled, large)
    assert metrics["critic/grad_norm"] > 0
    start = plain.init(jax.random.key(3))
    for field in ("policy", "critic"):
        before, one, ten = (
            ravel_pytree(getattr(x, field))[0] for x in (start, state, other)
        )
        moved = np.linalg.norm(one - before)
        # Adam's first steps are nearly signs, so digits of tiny gradients show.
        assert np.linalg.norm(ten - one) < 0.02 * moved
    np.testing.assert_allclose(other_seen["value"], 10 * seen["value"], rtol=1e-5)
    ev = "critic/explained_variance"
    np.testing.assert_allclose(metrics[ev], other_metrics[ev], atol=1e-4)


def test_a_config_scales_critic_and_clip():
    config = household.get_config("steppo,critic.scale=10,policy.grad_clip=0.5")
    learner = programs.build(config).learner
    assert learner.critic.scale == 10
    assert learner.settings.critic.grad_clip == 50
    assert learner.settings.policy.grad_clip == 0.5
    config = household.get_config(
        "steppo,critic.scale=10,critic.trunk=shared,critic.coef=0.5,"
        "critic.learning_rate=None"
    )
    assert programs.build(config).learner.critic.scale == 10
