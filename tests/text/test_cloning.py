"""The expert's words as targets, until success is measured."""

import dataclasses

import jax
import numpy as np
import pytest

from steppo_jax.learner import forward
from steppo_jax.models.heads import Policy
from steppo_jax.text import cloning, source
from steppo_jax.text.environment import OnDevice
from steppo_jax.text.prompts import Prompter
from steppo_jax.warm_start import CloneSettings, NotReached
from tests.text.tiny import ENV

P, R = 512, 24
SETTINGS = CloneSettings(
    success=0.5,
    expert_noise=0.2,
    learning_rate=1e-2,
    episodes=2,
    check_every=2,
    max_updates=4,
    measured_on=8,
    microbatch=2,
)


@pytest.fixture(scope="module")
def shown(chat):
    prompter = Prompter(chat, ENV.instructions, "rebuilt", None, P)
    return cloning.Demonstrations(OnDevice(ENV), prompter, SETTINGS, 3, P, R)


def test_demonstrations_are_the_experts_words(shown, chat):
    tokens = shown.tokens(jax.random.key(0))
    again = shown.tokens(jax.random.key(0))
    assert np.array_equal(tokens.token, again.token)
    assert not np.array_equal(tokens.token, shown.tokens(jax.random.key(1)).token)
    mask = np.asarray(tokens.response_mask)
    said = [np.asarray(t)[m] for t, m in zip(tokens.token, mask) if m.any()]
    assert len(said) == 6
    for ids in said:
        assert ids[-1] == chat.stop[0] and chat.stop[0] not in ids[:-1]
        response = ENV.parse(chat.decode(ids[:-1]))
        assert ENV.vocabulary.decode(response) != "<eos>", "it can be said"


def test_cloning_makes_the_experts_words_likelier(shown, folder):
    config, params = source.find(str(folder)).load()
    policy, tokens = Policy(config), shown.tokens(jax.random.key(9))

    def likelihood(params):
        found, _ = forward.policy_tables(policy, params, tokens, 1.0, 2)
        return float(found.sum() / tokens.response_mask.sum())

    before, told, rates = likelihood(params), [], iter([0.1, 0.6])
    after = cloning.clone(
        policy,
        shown,
        params,
        jax.random.key(2),
        lambda params: next(rates),
        lambda made, rate: told.append((made, rate)),
    )
    assert told == [(1, None), (2, 0.1), (3, None), (4, 0.6)]
    assert likelihood(after) > before + 0.2


def test_cloning_that_does_not_reach_the_target_says_so(shown, folder):
    config, params = source.find(str(folder)).load()
    short = dataclasses.replace(SETTINGS, max_updates=1, check_every=1, episodes=1)
    lazy = dataclasses.replace(shown, settings=short)
    with pytest.raises(NotReached, match=r"success=0.5: after 1 .* reaches 0.250"):
        cloning.clone(
            Policy(config),
            lazy,
            params,
            jax.random.key(2),
            lambda params: 0.25,
            lambda made, rate: None,
        )


def test_an_expert_that_needs_more_tokens_is_refused(shown):
    tight = dataclasses.replace(shown, max_new=2)
    with pytest.raises(NotReached, match=r"lm.max_new=2: the expert needs \d+ tokens"):
        tight.tokens(jax.random.key(0))
