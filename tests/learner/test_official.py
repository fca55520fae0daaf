"""The official presets: the credit inside the update is that of `credit.from_rows`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from configs import household
from steppo_jax import credit, methods, programs, settings
from steppo_jax.learner import forward, learned
from steppo_jax.learner.update import Learner
from steppo_jax.models.heads import Critic
from steppo_jax.official_points import POINTS
from steppo_jax.parallel import ONE
from tests import toy
from tests.learner.test_grid import shaken


@pytest.fixture(scope="module")
def rolled():
    """Eight episodes of one to three steps, two tasks, every step with a reward."""
    played = toy.play()
    noise = jax.random.normal(jax.random.key(5), played.steps.reward.shape)
    reward = jnp.where(played.steps.valid, played.steps.reward + noise, 0.0)
    return played.replace(steps=played.steps.replace(reward=reward))


def learner_of(name: str, **changes) -> Learner:
    """The preset's learner with the toy's networks."""
    config = household.get_config(f"official_{name}")
    settings.check(config)
    its = programs.update_settings(config)
    its = dataclasses.replace(its, trajectories=8, minibatches=1, microbatch=4)
    its = dataclasses.replace(its, **changes)
    critic = None if its.critic is None else Critic(toy.DECODER)
    return Learner(toy.POLICY, critic, its)


def started(the: Learner):
    """Away from the reference, so that there is KL, and with values far from 0."""
    state = the.init(jax.random.key(3))
    return state.replace(policy=shaken(state.policy), critic=shaken(state.critic))


def rewards(the, state, rolled, tables):
    """[S, L] what stands on the tokens of the official code: KL where it belongs."""
    reward = np.asarray(learned.token_reward(rolled.steps, rolled.tokens))
    if the.settings.kl.place == "loss":
        return reward
    reference, _ = forward.policy_tables(
        toy.POLICY, state.reference, rolled.tokens, 1.0, 4
    )
    mask = np.asarray(rolled.tokens.response_mask)
    k1 = np.where(mask, np.asarray(tables.old_log_prob) - np.asarray(reference), 0)
    assert np.abs(k1).max() > 0.1
    return reward - 1e-3 * k1


@pytest.mark.parametrize("name", POINTS)
def test_the_credit_of_the_update_is_that_of_from_rows(name, rolled):
    the = learner_of(name)
    state = started(the)
    tables, _, seen = jax.jit(lambda *args: the._prepare(ONE, *args))(
        state, rolled.steps, rolled.tokens
    )
    s, steps, tokens = the.settings, rolled.steps, rolled.tokens
    rows = np.flatnonzero(steps.valid)  # in this layout a sequence is a step
    mask = np.asarray(tokens.response_mask)
    assert (np.asarray(tokens.step_id).max(1)[rows] == rows).all()
    options = dataclasses.asdict(s.credit)
    options = {name: x for name, x in options.items() if x is not None}
    entry, inputs = credit.get(s.estimator), {}
    if entry.critic == "step":
        inputs["value_BL"] = np.asarray(seen["value"])[:, None] * np.ones(mask.shape)
    elif entry.critic == "token":
        inputs["value_BL"] = np.asarray(tables.old_value)
    if entry.needs_groups:
        inputs["group_id_B"] = np.asarray(steps.group_id)
    if entry.needs_state_keys:
        inputs["state_key_B"] = np.asarray(steps.state_key)
    inputs = {name: x[rows] for name, x in inputs.items()}
    advantage, target = credit.from_rows(
        s.estimator,
        rewards(the, state, rolled, tables)[rows],
        mask[rows],
        np.asarray(steps.traj_id)[rows],
        np.asarray(steps.step_index)[rows],
        **inputs,
        **options,
    )
    assert options["official"]
    assert np.abs(advantage).max() > 0.1
    assert_allclose(tables.advantage[rows], advantage, rtol=1e-5, atol=1e-5)
    if entry.critic == "step":
        per_step = np.asarray(target)[np.arange(len(rows)), mask[rows].argmax(1)]
        assert_allclose(tables.target[rows], per_step, rtol=1e-5, atol=1e-5)
    if entry.critic == "token":
        assert_allclose(tables.target[rows], target, rtol=1e-5, atol=1e-5)


# What the twin changes on this rollout, where no group is alone and no step silent.
SAME = {"rloo"}


@pytest.mark.parametrize("name", POINTS)
def test_ours_has_another_credit_where_ours_is_another(name, rolled):
    """So the test above would see a twin that is not one. No model is run."""
    the = learner_of(name)
    entry = credit.get(the.settings.estimator)
    S, L = rolled.tokens.token.shape
    noise = jax.random.normal(jax.random.key(1), (S, L))
    table = learned.Learned(
        old_log_prob=noise,
        value=noise[: rolled.steps.num_rows, 0],
        next_value=jnp.zeros(rolled.steps.num_rows),
        token_value=noise,
        token_reward=learned.token_reward(rolled.steps, rolled.tokens),
    )
    found = [
        learned.assign_credit(
            ONE,
            rolled.steps,
            rolled.tokens,
            table,
            entry,
            dataclasses.replace(the.settings.credit, official=official),
            the.settings.normalise,
        )[0]
        for official in (False, True)
    ]
    differs = float(jnp.abs(found[0] - found[1]).max())
    assert differs < 1e-6 if name in SAME else differs > 1e-3


@pytest.mark.parametrize("name", POINTS)
def test_the_whole_update_can_be_traced(name, rolled):
    the = learner_of(name)
    state = the.init(jax.random.key(3))
    out = jax.eval_shape(
        lambda *args: the.update(ONE, *args), state, rolled.steps, rolled.tokens
    )
    assert jax.tree.structure(out[0]) == jax.tree.structure(state)


def test_a_twin_is_the_grid_point_of_its_preset():
    """It differs in numbers, KL and `official`, not in the point it stands on."""
    for name in POINTS:
        ours = methods.METHODS[name].fields
        twin = methods.METHODS[f"official_{name}"].fields
        for field in ("credit.estimator", "objective.ratio", "critic.kind"):
            assert ours[field] == twin[field], (name, field)
        assert (
            credit.get(twin["credit.estimator"]).normalise == (twin["credit.normalise"])
        )
