"""Branched values and advantages against a small world solved by hand."""

import dataclasses
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.actor import branch
from steppo_jax.actor.branch import BranchSettings
from steppo_jax.actor.generate import Response
from steppo_jax.actor.rollout import RolloutSettings, rollout
from tests import toy

GAMMA, T = 0.9, 4
STOP = 0.3  # chance that the policy ends the episode at a step


class State(typing.NamedTuple):
    level: jax.Array  # steps done; ending at level n pays n + 1


@dataclasses.dataclass(frozen=True)
class Climb:
    """Word 1 stops and is paid by the height reached; word 0 climbs and costs .1."""

    def reset(self, key, task):
        del key, task
        return State(jnp.int32(0)), self._observe(0)

    def _observe(self, level):
        return jnp.array([1, 4, 0], jnp.int32).at[1].add(level)

    def step(self, state, response):
        stops = response[0] == 1
        reward = jnp.where(stops, state.level + 1.0, -0.1)
        after = State(state.level + 1)
        return after, self._observe(after.level), reward, stops

    def outcome(self, state):
        return {"success": state.level.astype(jnp.float32)}

    def state_key(self, observation):
        return observation.sum().astype(jnp.uint32)


def speak(state, prompt_NP, key_N):
    """Stops with chance STOP, and checks that the prompt shows the state."""
    said_N = jax.vmap(lambda k: jax.random.bernoulli(k, STOP))(key_N)
    wrong_N = prompt_NP[:, 1] != 4 + state.level
    token_N1 = jnp.where(wrong_N, 0, said_N.astype(jnp.int32))[:, None]
    zeros_N1 = jnp.zeros(token_N1.shape, jnp.float32)
    return Response(token_N1, zeros_N1, jnp.ones(token_N1.shape, bool))


def exact_values():
    """V of level 0 … T−1, and 0 beyond the limit, backwards by hand."""
    value = [0.0]
    for level in reversed(range(T)):
        goes_on = -0.1 + GAMMA * value[0]
        value.insert(0, STOP * (level + 1) + (1 - STOP) * goes_on)
    return np.array(value)


def measured(branches, n=64, first=0, seed=0):
    settings = RolloutSettings(T, "terminal")
    ids = first + jnp.arange(n)
    how = BranchSettings(branches, GAMMA)
    key, branch_key = jax.random.split(jax.random.key(seed))

    @jax.jit
    def run():
        rolled = rollout(
            speak,
            Climb(),
            settings,
            key,
            jnp.zeros((n,)),
            ids,
            ids,
            jnp.int32(0),
            keep_states=True,
        )
        out = branch.advantages(speak, Climb(), settings, rolled, branch_key, how)
        return rolled, *out

    return jax.tree.map(np.asarray, run())


def test_values_and_advantages_are_those_of_the_world():
    rolled, advantage, value = measured(branches=400)
    steps, exact = rolled.steps, exact_values()
    for level in range(T):
        here = steps.valid & (steps.step_index == level)
        assert here.sum() > 8
        error = value[here] - exact[level]
        # A return lies in [−.3, 4]: its spread is below 1.7; 5 standard errors.
        assert np.abs(error).max() < 5 * 1.7 / 400**0.5
        assert abs(error.mean()) < 5 * 1.7 / (400 * here.sum()) ** 0.5
    goes_on = steps.valid & ~steps.terminated
    q = steps.reward + GAMMA * np.where(goes_on, exact[steps.step_index + 1], 0)
    wanted = q - exact[steps.step_index]
    error = (advantage - wanted)[steps.valid]
    assert np.abs(error).max() < 5 * 2**0.5 * 1.7 / 400**0.5
    assert steps.truncated.any() and steps.terminated.any()
    assert np.isnan(advantage[~steps.valid]).all()
    assert (value[~steps.valid] == 0).all()


def test_a_trajectory_has_the_same_branches_in_any_batch():
    _, advantage, value = measured(branches=3, n=8)
    _, alone, value_alone = measured(branches=3, n=2, first=4)
    part = slice(4 * T, 6 * T)
    np.testing.assert_array_equal(advantage[part], alone)
    np.testing.assert_array_equal(value[part], value_alone)
    _, other, _ = measured(branches=3, n=2, first=4, seed=1)
    assert (np.nan_to_num(other) != np.nan_to_num(alone)).any()


def test_states_are_kept_only_when_asked_for():
    assert toy.play().start is None


@pytest.mark.parametrize("branches", [1, 2])
def test_more_branches_spread_less(branches):
    _, _, few = measured(branches, n=128)
    _, _, many = measured(8 * branches, n=128)
    assert many[::T].std() < 0.6 * few[::T].std()
