"""Every preset runs: a rollout and two updates at smoke size, on two devices."""

import jax
import numpy as np
import pytest

from configs import household
from steppo_jax import credit, methods, programs, settings

# The official twins share these programs; tests/learner/test_official.py has them.
OURS = [name for name in methods.METHODS if not name.startswith(methods.OFFICIAL)]
FIELDS = "smoke,critic.warmup_iterations=0,iterations=2"


def build(method: str):
    critic_free = methods.METHODS[method].fields["critic.kind"] == "none"
    fields = (
        FIELDS.replace("critic.warmup_iterations=0,", "") if critic_free else FIELDS
    )
    config = household.get_config(f"{method},{fields}")
    config.devices = 2
    settings.check(config)
    return programs.build(config)


@pytest.mark.parametrize("method", OURS)
def test_a_preset_runs_and_learns_something(method):
    p = build(method)
    start = p.learner.init(jax.random.key(0))
    state = p.devices.replicate(start)
    for _ in range(2):
        played = p.collect(state)
        # Nothing succeeds at smoke size; a reward gives every estimator some work.
        noise = jax.random.normal(jax.random.key(1), played.steps.reward.shape)
        steps = played.steps.replace(reward=noise * played.steps.valid)
        if p.branching is not None:
            measured = played.steps.branch_advantage
            assert (np.isnan(measured) != np.asarray(played.steps.valid)).all()
            steps = steps.replace(branch_advantage=steps.reward)
        state, metrics, _ = p.update(state, steps, played.tokens)
    after = p.devices.first(state)
    assert int(after.iteration) == 2 and int(after.num_updates) == 4
    assert all(np.isfinite(x).all() for x in metrics.values())
    moved = jax.tree.map(
        lambda a, b: float(abs(a - b).max()), after.policy, start.policy
    )
    assert max(jax.tree.leaves(moved)) > 1e-4


def test_every_estimator_has_a_preset():
    used = {m.fields["credit.estimator"] for m in methods.METHODS.values()}
    assert used == set(credit.names())


def test_branches_end_at_the_limit_so_a_bootstrap_is_refused():
    config = household.get_config("monte_carlo")
    config.env.on_time_limit = "bootstrap"
    with pytest.raises(settings.ConfigError, match="plays to the limit"):
        settings.check(config)
