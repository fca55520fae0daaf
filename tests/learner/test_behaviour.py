"""The correction for data that other weights sampled, and what is told of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import objective
from tests import toy
from tests.learner import layouts


def test_by_hand():
    old = jnp.log(jnp.asarray([[0.5, 0.5, 0.5, jnp.nan]]))
    sampler = jnp.log(jnp.asarray([[0.25, 1.0, 0.01, 0.5]]))
    mask = jnp.asarray([[True, True, True, False]])
    weight, cut = objective.behaviour_weight(old, sampler, mask, 3.0)
    assert_allclose(weight, [[2.0, 0.5, 3.0, 0.0]], rtol=1e-6)
    assert cut.tolist() == [[False, False, True, False]]


def test_uncut_it_makes_the_gradient_one_under_the_old_policy():
    """Σ_a μ(a) · w(a) · A(a) ∇log π(a) = Σ_a π(a) A(a) ∇log π(a), by enumeration."""
    logits, of_sampler = jnp.asarray([0.3, -1.0, 0.7]), jnp.asarray([1.0, 0.2, -0.5])
    advantage = jnp.asarray([1.0, -2.0, 0.5])
    old, sampler = jax.nn.log_softmax(logits), jax.nn.log_softmax(of_sampler)
    weight, _ = objective.behaviour_weight(old, sampler, jnp.ones(3, bool), 1e6)

    def gradient(of_action):
        return jax.grad(lambda x: (of_action * jax.nn.log_softmax(x)).sum())(logits)

    found = gradient(jnp.exp(sampler) * weight * advantage)
    assert_allclose(found, gradient(jnp.exp(old) * advantage), rtol=1e-5)
    biased = gradient(jnp.exp(sampler) * advantage)
    assert not np.allclose(found, biased, rtol=0.1)


@pytest.fixture(scope="module")
def moved():
    """(a run of the learner with a cap and a layout, its step without one)."""
    env = layouts.environment()
    rolled = layouts.played(env)
    tokens = rolled.tokens
    # As if the sampler had found every token half, or a tenth, as likely.
    half = jnp.where(tokens.response_mask, tokens.behaviour_log_prob - jnp.log(2), 0.0)
    tenth = half - jnp.where(tokens.response_mask, jnp.log(5), 0.0)

    def run(behaviour, version=0, **changes):
        learner = layouts.learner("grpo", env, minibatches=1, **changes)
        state = learner.init(jax.random.key(3))
        state = state.replace(policy=layouts.sampler(env), num_updates=jnp.int32(7))
        given = tokens.replace(
            behaviour_log_prob=behaviour,
            policy_version=jnp.full_like(tokens.policy_version, version),
        )
        found, said, _ = toy.update(learner, rolled.replace(tokens=given), state)
        return layouts.step_of(state, found), said

    own = tokens.behaviour_log_prob
    return run, {"own": own, "half": half, "tenth": tenth}


def test_tokens_count_as_often_as_they_were_undersampled_up_to_the_cap(moved):
    run, sampled = moved
    plain, said = run(sampled["own"])
    assert "policy/behaviour_weight_mean" not in said
    twice, said = run(sampled["half"], behaviour_cap=4.0)
    assert layouts.apart(twice, 2 * plain) < 1e-3
    assert_allclose(said["policy/behaviour_weight_mean"], 2.0, rtol=1e-3)
    assert said["policy/behaviour_cut"] == 0
    cut, said = run(sampled["tenth"], behaviour_cap=4.0, layout="packed", width=60)
    assert layouts.apart(cut, 4 * plain) < 1e-3
    assert said["policy/behaviour_cut"] == 1


def test_how_old_the_data_is_is_told(moved):
    run, sampled = moved
    _, said = run(sampled["own"], version=4)
    assert said["data/staleness_max"] == 3 and said["data/staleness_mean"] == 3
