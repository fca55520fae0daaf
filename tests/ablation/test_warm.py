"""A warm start is made once, and comes back bit for bit."""

import jax
import numpy as np

from configs import household
from steppo_jax.ablation import warm
from tests import toy


def test_runs_that_share_a_warm_start_make_it_once(tmp_path):
    state = jax.jit(toy.learner().init)(jax.random.key(0))
    cloned = jax.tree.map(lambda x: x + 1, state.policy)
    made = []

    def clone():
        made.append(1)
        return cloned

    for text in ("steppo", "ppo", "steppo,seed=1"):
        config = household.get_config(text)
        got = warm.shared(tmp_path, config, "2")(state, clone)
        jax.tree.map(np.testing.assert_array_equal, got, cloned)
        assert len(made) == (2 if "seed" in text else 1)
    warm.shared(tmp_path, household.get_config("ppo"), "3")(state, clone)
    assert len(made) == 3  # another version of the environment


def test_a_clone_that_fails_leaves_nothing(tmp_path):
    state = jax.jit(toy.learner().init)(jax.random.key(0))

    def stopped():
        raise SystemExit(143)

    shared = warm.shared(tmp_path, household.get_config("steppo"), "2")
    for _ in range(2):
        try:
            shared(state, stopped)
        except SystemExit:
            continue
        raise AssertionError("a warm start that was never made came back")
