"""Numbers as arguments of the update: the same update, one program for all of them."""

import dataclasses

import jax
import numpy as np

from configs import household
from steppo_jax import programs
from steppo_jax.benchmarks.compiled import watched
from steppo_jax.learner import numbers
from steppo_jax.objective import ObjectiveSettings
from steppo_jax.parallel import ONE
from tests import toy

# Far from what they are, so that every one of them must be felt.
OTHER = {
    "credit.gamma": 0.3,
    "credit.lam": 0.1,
    "objective.clip_low": 1e-4,
    "objective.clip_high": 1e-4,
    "policy.learning_rate": 0.3,
    "critic.learning_rate": 0.3,
    "critic.value_clip": 1e-4,
    "objective.dual_clip": 1.0002,
}


def test_every_number_is_felt_and_none_compiles():
    objective = ObjectiveSettings("step", 0.5, 0.5, dual_clip=3.0)
    the = toy.learner(objective=objective, value_clip=10.0, epochs=2)
    rolled, state = toy.play(group_size=1), jax.jit(the.init)(jax.random.key(3))
    given = numbers.take(the.settings)
    assert set(given) == set(OTHER)

    @jax.jit
    def update(given):
        settings = numbers.put(the.settings, given)
        changed = dataclasses.replace(the, settings=settings)
        after, *_ = changed.update(ONE, state, rolled.steps, rolled.tokens)
        return jax.tree.leaves((after.policy, after.critic))

    def after(changes):
        return np.concatenate([x.ravel() for x in update(given | changes)])

    plain = after({})
    with watched() as compiled:
        for name, value in OTHER.items():
            moved = np.abs(after({name: np.float32(value)}) - plain).max()
            assert moved > 1e-6, name
    assert not compiled


def test_numbers_go_where_the_configuration_has_them():
    """The table of paths against `programs.update_settings`, for every method's own."""
    for text in (
        "steppo,critic.value_clip=0.2,objective.dual_clip=3,objective.clip_low=0.02",
        "bi_level,kl.kind=k3,kl.coef=0.1,kl.place=loss",
        "gigpo",
        "steppo,critic.trunk=shared,critic.coef=0.5,critic.learning_rate=none",
        "ppo,credit.lam=none,credit.lam_alpha=0.05",
    ):
        config = household.get_config(text)
        found = numbers.take(programs.update_settings(config))
        values = dict(config.items())
        for name, value in found.items():
            node = values
            for part in name.split("."):
                node = node[part]
            assert np.float32(node) == value, name
        changed = {name: value / 2 for name, value in found.items()}
        put = numbers.put(programs.update_settings(config), changed)
        assert numbers.take(put) == changed
