"""Values and gradients: by hand, against brute force, against finite differences."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax.truth import exact
from steppo_jax.truth.chain import chain, thoughtful_logits
from steppo_jax.truth.key_door import key_door, sensible_logits
from steppo_jax.truth.mdp import UNDISCOUNTED, Discount, probabilities, uneven_logits
from steppo_jax.truth.work import HM, REST, WORK, work
from tests.truth import brute_force

DISCOUNTS = (UNDISCOUNTED, Discount(0.9), Discount(0.9, 0.9), Discount(0.8, 0.5))


def small_chain():
    return chain(places=2, max_steps=2, most_thoughts=1)


def small_door():
    return dataclasses.replace(key_door(), max_steps=2)


@pytest.fixture(params=[small_chain, small_door], ids=["chain", "key_door"])
def mdp(request):
    return request.param()


def test_work_by_hand():
    """Uniform: 1/3 each of hm, work, rest; after hm 1/2 each, so p = 1/3 + 1/6."""
    mdp = work(max_steps=3)
    logits = np.zeros((1, 2, 3))
    truth = exact.solve(logits, mdp, Discount(0.9))
    assert_allclose(truth.value[:, 0], 5.0)  # 0.5 / (1 − 0.9)
    assert_allclose(truth.quality[:, 0, 0, [WORK, REST]], [[5.5, 4.5]] * 3)
    assert_allclose(truth.step_advantage[0, 0, 1, [WORK, REST]], [0.5, -0.5])
    assert_allclose(truth.token_advantage[0, 0, 0, HM], 0.0, atol=1e-12)
    # Per token: r = 1/3 + 0.9/6, W = 0.9 (2/3 + 0.9/3), V = r / (1 − W).
    truth = exact.solve(logits, mdp, Discount(0.9, 0.9))
    assert_allclose(truth.value[0, 0], (1 / 3 + 0.15) / (1 - 0.87))
    # Σ over 3 visits of π A: work 1/3 · 0.5, rest the opposite, hm 0.
    found = exact.gradient(logits, mdp, Discount(0.9), UNDISCOUNTED)
    assert_allclose(found[0, 0], [0.0, 0.5, -0.5], atol=1e-12)
    assert_allclose(found[0, 1], [0.0, 0.25, -0.25], atol=1e-12)


def test_a_value_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="never ends and is not discounted"):
        exact.values(np.zeros((1, 2, 3)), work(), UNDISCOUNTED)


@pytest.mark.parametrize("discount", DISCOUNTS, ids=str)
def test_values_equal_brute_force(mdp, discount):
    logits = uneven_logits(mdp)
    found = list(brute_force.episodes(mdp, logits))
    assert_allclose(sum(p for p, _ in found), 1.0)
    expected = sum(p * brute_force.discounted(steps, discount) for p, steps in found)
    assert_allclose(exact.objective(logits, mdp, discount), expected, rtol=1e-12)


def test_step_advantage_equals_brute_force(mdp):
    """Q(s, response) − V(s) at the first step, by averaging whole episodes."""
    logits, discount = uneven_logits(mdp), Discount(0.9)
    truth = exact.solve(logits, mdp, discount)
    sums = {}
    for p, steps in brute_force.episodes(mdp, logits):
        value = brute_force.discounted(steps, discount)
        state, response, nodes, _, _ = steps[0]
        for key in ((state,), (state, nodes[-1], response[-1])):
            mass, total = sums.get(key, (0.0, 0.0))
            sums[key] = (mass + p, total + p * value)
    mean = {key: total / mass for key, (mass, total) in sums.items()}
    responses = [key for key in mean if len(key) == 3]
    assert len(responses) > 20
    for state, node, token in responses:
        expected = mean[state, node, token] - mean[state,]
        assert_allclose(
            truth.step_advantage[0, state, node, token], expected, atol=1e-12
        )


@pytest.mark.parametrize("discount", DISCOUNTS, ids=str)
def test_gradient_equals_finite_differences(mdp, discount):
    logits, h = uneven_logits(mdp), 1e-5
    found = exact.gradient(logits, mdp, discount)
    numeric = np.zeros_like(found)
    for place in np.ndindex(*logits.shape):
        nudge = np.zeros_like(logits)
        nudge[place] = h
        up, down = (exact.objective(logits + d, mdp, discount) for d in (nudge, -nudge))
        numeric[place] = (up - down) / (2 * h)
    assert np.abs(found).max() > 1e-3
    assert_allclose(found, numeric, atol=1e-9)


def test_length_gradient_equals_finite_differences():
    mdp = small_chain()
    logits, h = uneven_logits(mdp), 1e-5
    seen = exact.visits(logits, mdp).sum(0)

    def length(logits):
        per_state = [
            sum(
                len(response) * brute_force.chance_of(response, row, mdp.language)[0]
                for response in mdp.language.responses()
            )
            for row in logits
        ]
        return np.array(per_state) @ seen / seen.sum()

    found = exact.length_gradient(logits, mdp)
    for place in [(0, 0, 1), (0, 0, 2), (1, 1, 3), (1, 3, 0)]:
        nudge = np.zeros_like(logits)
        nudge[place] = h
        numeric = (length(logits + nudge) - length(logits - nudge)) / (2 * h)
        assert_allclose(found[place], numeric, atol=1e-9)


def test_thoughts_change_the_length_and_nothing_else():
    def truth(thoughts):
        mdp = chain(most_thoughts=thoughts)
        return exact.solve(thoughtful_logits(mdp), mdp, UNDISCOUNTED).value

    assert_allclose(truth(8), truth(0), atol=1e-12)


def test_every_number_of_thoughts_is_equally_likely():
    mdp = chain(most_thoughts=3)
    passing = exact.reach(probabilities(thoughtful_logits(mdp), mdp.language), mdp)
    thinking = mdp.language.legal[:, 1] | (mdp.language.depth == 0)
    last = mdp.language.child[np.flatnonzero(thinking)[-1], 1]
    nodes = [*np.flatnonzero(thinking), last]
    assert_allclose(passing[:, nodes], np.tile([1, 0.75, 0.5, 0.25], (3, 1)))


def test_the_languages():
    said = chain(most_thoughts=1).language.responses()
    assert len(said) == 2 * 6  # 0 or 1 hm; then left or right; then . left right
    assert said[1, 3, 3] == 4 and said[2, 0] == 1 and said[2, 3] == 2
    door = key_door()
    said = door.language.responses()
    assert len(said) == 1 + 4 + 4 * 4 * 5
    assert said[2, 3, 0] == 2 and said[1, 0] == 4  # "use left .", "go ."
    assert said[0,] == said[2, 2, 2] == 5  # "." and "use use use" are nonsense
    assert probabilities(sensible_logits(door), door.language).sum(-1).min() > 1 - 1e-12


def test_tables_that_are_no_distributions_are_refused():
    mdp = chain()
    with pytest.raises(ValueError, match="rows of start are no distributions"):
        dataclasses.replace(mdp, start=mdp.start * 2)
    with pytest.raises(ValueError, match="means actions that are not"):
        short = dict(transition=mdp.transition[:, :4], reward=mdp.reward[:, :4])
        dataclasses.replace(mdp, **short)
