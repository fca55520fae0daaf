"""The laboratory at smoke size: critics, truth and estimates belong together."""

import jax
import numpy as np
import pytest

from configs import household
from steppo_jax import programs
from steppo_jax.fidelity import critics
from steppo_jax.fidelity.measure import Laboratory
from steppo_jax.fidelity.trials import Trial, trials

GROUPS, SIZE, T = 4, 2, 4


@pytest.fixture(scope="module")
def found():
    config = household.get_config("grpo,smoke,rollout.temperature=1.5")
    config.devices = 2
    state = programs.build(config).learner.init(jax.random.key(0))
    policy = jax.tree.map(np.asarray, state.policy)
    made, fitted, explained = {}, {}, []
    for kind in critics.PRESETS:
        made[kind] = critics.programs_for(config, kind)
        fitted[kind], _ = critics.fit(
            made[kind],
            policy,
            jax.random.key(1),
            2,
            lambda *told: explained.append(told),
        )
    lab = Laboratory(made, GROUPS, SIZE, branches=2, monte_carlo=3)
    put = lab.base.devices.replicate
    episodes = lab.play(put(policy), put(jax.random.key(2)))
    wanted = [Trial("step_gae", 0.0), Trial("step_gae", 1.0), Trial("token_gae", 1.0)]
    wanted += [Trial("rloo", None), Trial("monte_carlo", None)]
    estimates = lab.estimates(
        put(policy), {k: put(x) for k, x in fitted.items()}, episodes, wanted
    )
    steps = jax.device_get(lab.base.devices.join(episodes.steps))
    return estimates, steps, lab.truth(episodes), explained, fitted, made, policy


def test_estimates_are_those_of_the_estimators(found):
    estimates, steps, *_ = found
    valid = steps.valid
    td, whole = estimates[Trial("step_gae", 0.0)], estimates[Trial("step_gae", 1.0)]
    traj = steps.traj_id[valid]
    for i in range(GROUPS * SIZE):
        # Σ δ_t telescopes to the return minus V of the start, with γ = 1.
        mine = traj == i
        np.testing.assert_allclose(td[mine].sum(), whole[mine][0], atol=1e-5)
    own = estimates[Trial("monte_carlo", None)]
    np.testing.assert_allclose(own, steps.branch_advantage[valid], atol=1e-6)
    returns = np.array([steps.reward[valid][traj == i].sum() for i in range(8)])
    pairs = returns.reshape(GROUPS, SIZE)
    rloo = (pairs - pairs[:, ::-1]).ravel()
    np.testing.assert_allclose(estimates[Trial("rloo", None)], rloo[traj], atol=1e-6)
    assert not np.allclose(estimates[Trial("token_gae", 1.0)], whole)


def test_the_truth_is_measured_twice(found):
    _, steps, (truth_B2, task_B), *_ = found
    assert truth_B2.shape == (steps.valid.sum(), 2) and np.isfinite(truth_B2).all()
    np.testing.assert_array_equal(task_B, steps.group_id[steps.valid])
    assert sorted(set(task_B)) == list(range(GROUPS))


def test_critics_are_fitted_and_the_policy_stays(found):
    *_, explained, fitted, made, policy = found
    assert [done for done, _ in explained] == [1, 2, 1, 2]
    for kind, p in made.items():
        start = p.learner.start_from(p.learner.init(jax.random.key(1)), policy).critic
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), fitted[kind], start)
        assert max(jax.tree.leaves(moved)) > 0
        assert p.learner.settings.critic_warmup == critics.NEVER


def test_every_estimator_and_several_lams():
    names = {t.estimator for t in trials()}
    assert len(names) == len({t.name for t in trials()} & names) + 3
    assert sum(t.estimator == "step_gae" for t in trials()) >= 5
