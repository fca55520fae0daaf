"""Estimators in exact expectation: all episodes, weighted by their probability."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax.truth import estimate, exact, limits
from steppo_jax.truth.chain import chain
from steppo_jax.truth.enumeration import all_episodes
from steppo_jax.truth.key_door import key_door
from steppo_jax.truth.mdp import UNDISCOUNTED, probabilities, uneven_logits
from steppo_jax.truth.rollouts import credit_batch, critic
from steppo_jax.truth.trial import Trial
from tests.truth import brute_force

GAE = ("step_gae", "token_gae", "bi_level_gae")


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


SMALL = {
    "terminal": lambda: chain(2, 2, most_thoughts=1),
    "bootstrap": lambda: chain(2, 2, most_thoughts=1, on_time_limit="bootstrap"),
    "key_door": lambda: key_door(max_steps=2),
}


@functools.cache
def enumerated(which="terminal"):
    mdp = SMALL[which]()
    return mdp, uneven_logits(mdp), *all_episodes(mdp, uneven_logits(mdp))


@functools.cache
def program(trial, which):
    """(γ, λ, values, bootstrap) → (E g, advantages), compiled once per estimator."""
    mdp, logits, episodes, chance = enumerated(which)
    policy = jnp.asarray(probabilities(logits, mdp.language))

    @jax.jit
    def run(gamma, lam, values, bootstrap):
        batch = credit_batch(episodes, mdp, values, bootstrap=bootstrap)
        settings = trial.settings(gamma, lam)
        advantage = estimate.token_advantage(trial.estimator, batch, settings, episodes)
        mean = estimate.expected_gradient(
            advantage, episodes, policy, jnp.asarray(chance)
        )
        return mean, advantage

    return run


def run(trial, kind="exact", which="terminal"):
    """(E g, advantages, what the trial aims at)."""
    mdp, logits, _, _ = enumerated(which)
    values = critic(exact.solve(logits, mdp, trial.discount), kind)
    compiled = program(trial.program(), which)
    mean, advantage = compiled(
        trial.gamma or 0.0, trial.lam or 0.0, values, trial.bootstrap
    )
    aim = exact.gradient(logits, mdp, trial.discount, UNDISCOUNTED)
    return np.asarray(mean), np.asarray(advantage), aim


def apart(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_enumeration_equals_brute_force():
    mdp, logits, episodes, chance = enumerated()
    found = sorted(zip(chance.round(12), np.asarray(episodes.reward.sum(1))))
    expected = sorted(
        (round(p, 12), sum(step[3] for step in steps))
        for p, steps in brute_force.episodes(mdp, logits)
    )
    assert_allclose(found, expected, atol=1e-12)
    with pytest.raises(ValueError, match="more than 10 episodes"):
        all_episodes(mdp, logits, most=10)


@pytest.mark.parametrize("name", GAE)
@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_gae_is_unbiased_with_lambda_1_or_the_exact_critic(name, gamma):
    for lam, kind in ((1.0, "exact"), (1.0, "wrong"), (1.0, "zero"), (0.5, "exact")):
        mean, _, aim = run(Trial(name, gamma, lam), kind)
        assert apart(mean, aim) < 1e-12, (lam, kind)
    mean, _, aim = run(Trial(name, gamma, 0.5), "wrong")
    assert apart(mean, aim) > 0.02  # else the lines above could not fail


def test_bi_level_gae_is_biased_where_responses_may_end_after_any_token():
    """Even with the exact critic, for λ < 1: the value before the token that turns
    out to be the last is not V(s) in the mean, as which token is last depends on what
    it says. On `chain` every response ends from a node that all responses pass."""
    for name in ("step_gae", "token_gae"):
        mean, _, aim = run(Trial(name, 1.0, 0.5), which="key_door")
        assert apart(mean, aim) < 1e-12, name
    mean, _, aim = run(Trial("bi_level_gae", 1.0, 0.5), which="key_door")
    assert apart(mean, aim) > 0.01
    mean, _, aim = run(Trial("bi_level_gae", 1.0, 1.0), which="key_door")
    assert apart(mean, aim) < 1e-12


def test_gae_at_lambda_0_with_the_exact_critic_is_unbiased_too():
    mean, _, aim = run(Trial("token_gae", 0.9, 0.0))
    assert apart(mean, aim) < 1e-12


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_reinforce_pp_is_unbiased(gamma):
    mean, _, aim = run(Trial("reinforce_pp", gamma))
    assert apart(mean, aim) < 1e-12


def test_gamma_per_token_aims_elsewhere():
    """Token GAE at γ has the gradient of discounting per token, not per step."""
    mdp, logits, _, _ = enumerated()
    mean, _, _ = run(Trial("token_gae", 0.9, 1.0))
    per_step = exact.gradient(
        logits, mdp, Trial("step_gae", 0.9).discount, UNDISCOUNTED
    )
    assert apart(mean, per_step) > 0.05


def test_step_gae_is_the_exact_step_advantage_in_the_mean():
    mdp, logits, episodes, chance = enumerated()
    trial = Trial("step_gae", 0.9, 0.5)
    _, advantage, _ = run(trial)
    truth = exact.solve(logits, mdp, trial.discount).step_advantage
    sums, mass = np.zeros_like(truth), np.zeros_like(truth)
    last = np.asarray(episodes.last())
    n, t, i = np.nonzero(last)
    at = (t, *(np.asarray(x)[n, t] for x in (episodes.state,)))
    at = (*at, *(np.asarray(x)[n, t, i] for x in (episodes.node, episodes.token)))
    np.add.at(sums, at, chance[n] * advantage[n, t, i])
    np.add.at(mass, at, chance[n])
    assert (mass > 0).sum() > 30
    seen = mass > 0
    assert_allclose(sums[seen] / mass[seen], truth[seen], atol=1e-12)


def test_bi_level_equals_token_gae_at_gamma_lambda_1_only():
    for gamma, lam, same in ((1.0, 1.0, True), (1.0, 0.9, False), (0.9, 1.0, False)):
        # The same wrong values for both, whatever each means by γ.
        token, bi_level = (
            run(Trial(name, gamma, lam), "zero")[1]
            if gamma < 1
            else run(Trial(name, gamma, lam), "wrong")[1]
            for name in ("token_gae", "bi_level_gae")
        )
        assert np.allclose(token, bi_level, atol=1e-12) == same, (gamma, lam)


@pytest.mark.parametrize(
    ("name", "std", "factor"),
    [("rloo", None, 1.0), ("grpo", False, 0.5), ("reinforce_pp_baseline", None, 0.5)],
)
def test_group_baselines_in_exact_expectation(name, std, factor):
    """All pairs of episodes from one start: rloo is unbiased; a mean that holds the
    episode itself makes the gradient (G − 1)/G of the true one, here 1/2."""
    mdp = chain(places=2, max_steps=2, most_thoughts=0, slip=0.0)
    logits = uneven_logits(mdp)
    episodes, chance = all_episodes(mdp, logits)
    first = np.asarray(episodes.state[:, 0])
    one, two = np.nonzero(first[:, None] == first)
    weight = chance[one] * chance[two] / mdp.start[first[one]]
    assert_allclose(weight.sum(), 1.0)
    pairs = jax.tree.map(lambda x: x[np.stack([one, two], 1).ravel()], episodes)
    pairs = dataclasses.replace(pairs, group=jnp.repeat(jnp.arange(len(one)), 2))
    values = critic(exact.solve(logits, mdp, UNDISCOUNTED), "zero")
    settings = Trial(name, divide_by_std=std).settings(None, None)

    @jax.jit
    def estimated(pairs):
        batch = credit_batch(pairs, mdp, values, bootstrap=False)
        return estimate.token_advantage(name, batch, settings, pairs)

    advantage = estimated(pairs)
    policy = jnp.asarray(probabilities(logits, mdp.language))
    share = jnp.asarray(np.repeat(weight / 2, 2))
    mean = np.asarray(estimate.expected_gradient(advantage, pairs, policy, share))
    aim = exact.gradient(logits, mdp, UNDISCOUNTED)
    assert apart(mean, factor * aim) < 1e-12


@pytest.mark.parametrize("lam", [1.0, 0.5])
def test_a_bootstrapped_limit_is_unbiased_and_an_ignored_one_is_not(lam):
    trial = Trial("step_gae", 0.9, lam)
    mean, _, aim = run(trial, which="bootstrap")
    assert apart(mean, aim) < 1e-12
    for ignoring in (dict(bootstrap=False), dict(official=True)):
        ignored = dataclasses.replace(trial, **ignoring)
        mean, _, aim = run(ignored, which="bootstrap")
        assert apart(mean, aim) > 0.1


def test_ignoring_truncation_aims_at_the_task_with_the_limit_in_it():
    trial = Trial("step_gae", 0.9, 1.0, bootstrap=False)
    mean, _, _ = run(trial, "wrong", which="bootstrap")
    mdp, logits, _, _ = enumerated("terminal")
    limited = exact.gradient(logits, mdp, trial.discount, UNDISCOUNTED)
    assert apart(mean, limited) < 1e-12


def test_fixed_point_of_the_critic_in_closed_form():
    rows = list(limits.fixed_points())
    assert len(rows) == 2 * len(limits.LAMBDAS)
    for row in rows:
        assert_allclose(row["value"], row["expected"], rtol=1e-9)
        right = abs(row["value"] - row["x"]) < 1e-9  # x is p/(1 − γ)
        assert right == (row["case"] == "bootstrapped")


def test_episode_variance_equals_a_loop():
    mdp, logits, episodes, chance = enumerated()
    _, advantage, _ = run(Trial("step_gae", 0.9, 0.5))
    policy = jnp.asarray(probabilities(logits, mdp.language))
    few = slice(0, 40)
    part = jax.tree.map(lambda x: np.asarray(x)[few], episodes)
    weight = chance[few] / chance[few].sum()
    gradients = []
    for n in range(40):
        g = np.zeros(policy.shape)
        for t, i in np.argwhere(np.asarray(part.said[n])):
            s, node, token = (
                int(part.state[n, t]),
                int(part.node[n, t, i]),
                int(part.token[n, t, i]),
            )
            score = -np.asarray(policy[s, node])
            score[token] += 1
            g[s, node] += advantage[n, t, i] * score
        gradients.append(g)
    gradients = np.array(gradients)
    mean = np.tensordot(weight, gradients, 1)
    expected = (weight * ((gradients - mean) ** 2).sum((1, 2, 3))).sum()
    args = (jnp.asarray(advantage[few]), part, policy, jnp.asarray(weight))
    assert_allclose(jax.jit(estimate.expected_gradient)(*args), mean, atol=1e-12)
    assert_allclose(jax.jit(estimate.episode_variance)(*args), expected, rtol=1e-10)
