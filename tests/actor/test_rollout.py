"""Rollouts: the tables say what happened, and nothing depends on slots or devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import vocabulary
from steppo_jax.actor import rollout as module
from steppo_jax.actor.rollout import RolloutSettings, rollout
from steppo_jax.learner import forward
from steppo_jax.vocabulary import EOS, PAD
from tests import toy


@pytest.fixture(scope="module")
def played():
    return jax.tree.map(np.asarray, toy.play(ids=range(24)))


def replay(played, env=toy.ENV, group_size=4):
    """Plays the recorded responses again, one episode at a time, in plain Python."""
    steps, tokens = played.steps, played.tokens
    T = env.max_steps
    for n in range(steps.traj_id.size // T):
        task = jnp.int32((n // group_size) % toy.NUM_GOALS)
        state, seen = env.reset(jax.random.key(0), task)
        alive = True
        for t in range(T):
            b = n * T + t
            assert steps.valid[b] == alive
            if not alive:
                assert steps.reward[b] == 0 and (tokens.step_id[b] == -1).all()
                continue
            prompt = np.asarray(seen)[: int(vocabulary.length(seen))]
            said = tokens.token[b][tokens.step_id[b] == b]
            whole = np.concatenate([prompt, said])
            np.testing.assert_array_equal(tokens.token[b, : whole.size], whole)
            np.testing.assert_array_equal(
                tokens.segment[b], np.arange(tokens.segment.shape[1]) < whole.size
            )
            np.testing.assert_array_equal(tokens.value_at[b], [b, prompt.size - 1])
            response = np.full(env.response_length, PAD, np.int32)
            response[: said.size] = said
            assert EOS not in said[:-1]
            assert said[-1] == EOS or said.size == env.response_length
            state, seen, reward, ended = env.step(state, jnp.asarray(response))
            assert steps.reward[b] == reward
            assert steps.terminated[b] == ended
            assert steps.truncated[b] == (not ended and t == T - 1)
            alive = not ended


def test_tables_replay_step_by_step(played):
    replay(played)
    ended = played.steps.terminated.sum()
    assert 0 < ended < 24, "the test needs episodes that end and that are cut"


def test_ids_groups_and_outcome(played):
    np.testing.assert_array_equal(
        played.steps.traj_id.reshape(24, 3), np.repeat(np.arange(24), 3).reshape(24, 3)
    )
    np.testing.assert_array_equal(played.steps.group_id, played.steps.traj_id // 4)
    np.testing.assert_array_equal(played.steps.step_index, np.tile(np.arange(3), 24))
    rewards = played.steps.reward.reshape(24, 3).sum(axis=1)
    np.testing.assert_array_equal(played.outcome["return"], rewards)
    np.testing.assert_array_equal(played.outcome["success"], rewards)
    alive = played.steps.valid.reshape(24, 3).sum(axis=1)
    np.testing.assert_array_equal(played.outcome["steps"], alive)
    assert (played.tokens.policy_version == 7).all()


def test_an_episode_is_the_same_in_any_slot_and_company(played):
    alone = toy.play(ids=[9, 2])
    T = 3
    for slot, n in enumerate([9, 2]):
        rows, there = slice(slot * T, slot * T + T), slice(n * T, n * T + T)
        np.testing.assert_array_equal(
            alone.tokens.token[rows], played.tokens.token[there]
        )
        np.testing.assert_array_equal(
            alone.steps.reward[rows], played.steps.reward[there]
        )


def test_another_key_gives_other_episodes(played):
    other = toy.play(ids=range(24), seed=1)
    assert (np.asarray(other.tokens.token) != played.tokens.token).any()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_recorded_log_probs_are_those_of_the_learner(temperature):
    rolled = toy.play(ids=range(24), temperature=temperature)
    again, entropy = forward.policy_tables(
        toy.POLICY, toy.params(), rolled.tokens, temperature, size=8
    )
    mask = rolled.tokens.response_mask
    np.testing.assert_allclose(again, rolled.tokens.behaviour_log_prob, atol=1e-5)
    assert mask.sum() > 50
    assert (jnp.where(mask, entropy, 1.0) > 0).all()
    # At the wrong temperature the difference would show.
    wrong, _ = forward.policy_tables(
        toy.POLICY, toy.params(), rolled.tokens, 2.0, size=8
    )
    assert jnp.abs(wrong - rolled.tokens.behaviour_log_prob).max() > 0.05


def test_greedy_takes_the_likeliest_token_and_ignores_the_key():
    one, two = (toy.play(decoding="greedy", seed=s) for s in (0, 1))
    np.testing.assert_array_equal(one.tokens.token, two.tokens.token)
    tokens = one.tokens
    logits, _ = toy.POLICY.apply(
        toy.params(), tokens.token, tokens.position, tokens.segment
    )
    likeliest = np.asarray(jnp.argmax(logits, -1))[:, :-1]
    said = np.asarray(tokens.response_mask)[:, 1:]
    np.testing.assert_array_equal(
        likeliest[said], np.asarray(tokens.token)[:, 1:][said]
    )


def test_bootstrap_appends_the_true_next_prompt_of_cut_episodes():
    env = dataclasses.replace(toy.ENV, on_time_limit="bootstrap")
    rolled = jax.tree.map(np.asarray, toy.play(env, ids=range(24)))
    B, T = 72, env.max_steps
    assert rolled.tokens.token.shape[0] == B + 24
    cut = np.flatnonzero(rolled.steps.truncated)
    assert 0 < cut.size < 24
    for b in cut:
        sequence, last = rolled.tokens.next_value_at[b]
        n = b // T
        goal = toy.FIRST + (n // 4) % toy.NUM_GOALS
        again = toy.FIRST + toy.NUM_GOALS
        # BOS, the goal and one word per try: T of them after T tries.
        expected = [vocabulary.BOS, goal] + [again] * T
        assert sequence == B + n and last == len(expected) - 1
        np.testing.assert_array_equal(
            rolled.tokens.token[sequence, : last + 1], expected
        )
        assert (rolled.tokens.step_id[sequence] == -1).all()
    others = np.setdiff1d(np.arange(B), cut)
    assert (rolled.tokens.next_value_at[others] == -1).all()
    ended = np.setdiff1d(np.arange(24), cut // T)
    assert (rolled.tokens.segment[B + ended] == 0).all()


def test_the_expert_speaks_through_the_same_door():
    from steppo_jax.warm_start import expert_speaks

    speak = expert_speaks(toy.ENV, noise=0.0)
    id_N = jnp.arange(3)
    settings = RolloutSettings(3, "terminal")
    rolled = rollout(
        speak, toy.ENV, settings, jax.random.key(0), id_N, id_N, id_N, jnp.int32(0)
    )
    np.testing.assert_array_equal(rolled.outcome["success"], [1, 1, 1])
    np.testing.assert_array_equal(rolled.outcome["steps"], [1, 1, 1])
    np.testing.assert_array_equal(
        rolled.tokens.response_mask.sum(axis=1), [2, 0, 0] * 3
    )


def test_keep_selects_episode_by_episode():
    old, new = jnp.zeros((2, 3)), jnp.ones((2, 3))
    got = module.keep(jnp.array([True, False]), {"x": new}, {"x": old})
    np.testing.assert_array_equal(got["x"], [[1, 1, 1], [0, 0, 0]])
