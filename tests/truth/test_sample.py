"""Sampled episodes are the enumerated ones, as often as they should be."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax.truth import exact
from steppo_jax.truth.chain import chain
from steppo_jax.truth.enumeration import all_episodes
from steppo_jax.truth.mdp import UNDISCOUNTED, uneven_logits
from steppo_jax.truth.rollouts import credit_batch, critic
from steppo_jax.truth.sample import sampler


def drawn(mdp, groups=500, size=8):
    return jax.device_get(
        sampler(mdp, uneven_logits(mdp))(jax.random.key(0), groups, size)
    )


def words(rollouts):
    """One tuple per episode: what was said, in which states, what came of it."""
    token = np.where(rollouts.said, rollouts.token, -1)
    state = np.where(rollouts.live, rollouts.state, -1)
    columns = (token.reshape(len(token), -1), state, rollouts.next_state)
    return [tuple(row) for row in np.concatenate(columns, 1).tolist()]


def test_frequencies_of_whole_episodes():
    mdp = chain(places=2, max_steps=2, most_thoughts=0)
    rollouts = drawn(mdp)
    every, chance = all_episodes(mdp, uneven_logits(mdp))
    known = dict(zip(words(jax.device_get(every)), chance))
    found = words(rollouts)
    assert set(found) <= set(known)
    count = np.array([found.count(episode) for episode in known])
    expected = np.array(list(known.values())) * len(found)
    common = expected > 5
    # Episodes of a group share their start, so the spread is a little wider.
    z = (count - expected)[common] / np.sqrt(expected[common])
    assert common.sum() > 30 and np.abs(z).max() < 5
    assert 0.5 < np.mean(z**2) < 2


def test_groups_share_their_start_and_episodes_stop_at_the_end():
    mdp = chain()
    rollouts = drawn(mdp)
    starts = rollouts.state[:, 0].reshape(-1, 8)
    assert (starts == starts[:, :1]).all() and len(np.unique(starts)) == 2
    assert_allclose(rollouts.group.reshape(-1, 8)[:, 0], np.arange(500))
    over = rollouts.next_state == mdp.num_states
    assert (rollouts.live[:, 1:] == ~over[:, :-1]).all()
    assert not rollouts.said[~rollouts.live].any()
    assert (rollouts.reward[~rollouts.live] == 0).all()
    joined = rollouts.live[:, 1:]
    assert (rollouts.state[:, 1:] == rollouts.next_state[:, :-1])[joined].all()


def test_the_tables_of_a_batch():
    mdp = chain(max_steps=3, on_time_limit="bootstrap")
    rollouts = drawn(mdp, groups=4)
    values = critic(exact.solve(uneven_logits(mdp), mdp, UNDISCOUNTED), "wrong")

    @jax.jit
    def tables(bootstrap):
        batch = credit_batch(rollouts, mdp, values, bootstrap=bootstrap)
        return batch, batch.num_tokens()

    batch, num_tokens = tables(True)
    steps = batch.steps
    live, over = rollouts.live.ravel(), (rollouts.next_state == 3).ravel()
    assert (steps.valid == live).all()
    assert (steps.terminated == live & over).all()
    last = np.tile([False, False, True], 32)
    assert (steps.truncated == live & ~over & last).all() and steps.truncated.any()
    expected = np.where(
        steps.truncated, values.value[3][rollouts.next_state.ravel()], 0
    )
    assert_allclose(batch.next_value, expected, rtol=1e-6)
    assert_allclose(batch.token_reward.sum(1), steps.reward)
    assert_allclose(num_tokens, rollouts.said.sum(2).ravel())
    # The value of a state is the value before the first token.
    assert_allclose(batch.token_value[:, 0], batch.value)
    cut, _ = tables(False)
    assert (np.asarray(cut.next_value) == 0).all()


def test_critics():
    mdp = chain()
    truth = exact.solve(uneven_logits(mdp), mdp, UNDISCOUNTED)
    wrong = critic(truth, "wrong")
    assert (wrong.value[:, -1] == 0).all()  # the end is worth nothing to any critic
    assert (wrong.value[-1] == 0).all()  # nor is what a limit of the task cut off
    assert_allclose(wrong.value[:-1, :-1], wrong.node_value[..., 0])
    away = np.abs(wrong.node_value - truth.node_value)
    assert 0.25 < away.max() <= 0.3
    assert not critic(truth, "zero").node_value.any()
    with pytest.raises(ValueError, match="known: exact, zero, wrong"):
        critic(truth, "perfect")
