"""Context policies: what of the past stands in the prompt, token for token."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import vocabulary
from steppo_jax.envs import context
from steppo_jax.envs.household import Household

ENV = Household(max_steps=6, think_tokens=3)


def play(env, steps=5):
    """[(prompt, response)] of an expert's episode, unpadded; last prompt's response
    is None. One response is cut: it has no <eos>."""
    task = jax.tree.map(lambda x: x[3], ENV.panel("train"))
    state, prompt = env.reset(jax.random.key(0), task)
    shown = []
    for i in range(steps):
        response = env.expert(state, jax.random.key(i))
        if i == 2:
            response = jnp.full_like(response, ENV.vocabulary.id["think"])
        shown.append((unpadded(prompt), unpadded(response)))
        state, prompt, _, _ = env.step(state, response)
    return [*shown, (unpadded(prompt), None)]


def unpadded(tokens):
    return np.asarray(tokens)[: int(vocabulary.length(tokens))].tolist()


def test_append_only_prompts_extend_the_sequence_before():
    shown = play(context.wrap(ENV, "append", None))
    for (prompt, response), (after, _) in itertools.pairwise(shown):
        assert after[: len(prompt) + len(response)] == prompt + response
    # What is new is the observation that a rebuilt prompt has.
    own = play(ENV)
    for (whole, _), (observation, _) in zip(shown, own):
        assert whole[-len(observation) :] == observation


def test_last_keeps_the_newest_turns():
    own = play(ENV)
    for t, (prompt, _) in enumerate(play(context.wrap(ENV, "last", 2))):
        turns = [a + b for a, b in own[max(t - 2, 0) : t]]
        assert prompt == [*(x for turn in turns for x in turn), *own[t][0]]


def test_rebuilt_is_the_environment_itself():
    assert context.wrap(ENV, "rebuilt", None) is ENV


@pytest.mark.parametrize("turns", [0, 5, 9])
def test_turns_that_an_episode_does_not_have_are_refused(turns):
    with pytest.raises(ValueError, match=r"6 steps has 5 earlier.*append"):
        context.wrap(ENV, "last", turns)


def test_anchor_and_english_are_those_of_the_newest_observation():
    env = context.wrap(ENV, "append", None)
    task = jax.tree.map(lambda x: x[3], ENV.panel("train"))
    state, first = env.reset(jax.random.key(0), task)
    assert env.describe(first) == ENV.describe(state.observation)
    # A response full of <bos> must not pass for an observation.
    state, prompt, _, _ = env.step(
        state, jnp.full((env.response_length,), vocabulary.BOS)
    )
    own = state.observation
    assert env.state_key(prompt) == ENV.state_key(own)
    assert env.describe(prompt).endswith(ENV.describe(own))
    assert env.describe(prompt).startswith("Earlier:")


def test_everything_else_is_the_environments_own():
    env = context.wrap(ENV, "last", 1)
    assert env.name == "household" and env.max_steps == 6
    assert env.observation_length == 2 * ENV.observation_length + ENV.response_length
    assert hash(env) == hash(context.wrap(ENV, "last", 1))
    assert env != context.wrap(ENV, "last", 2)
