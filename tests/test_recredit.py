"""Stored episodes under every estimator, against loops, and what is left out."""

import numpy as np
import pytest

from configs import household
from steppo_jax import credit, recredit
from steppo_jax.trajectories import whole_groups


def config(method="steppo", **fields):
    words = "".join(f",{k.replace('__', '.')}={v}" for k, v in fields.items())
    return household.get_config(method + words)


def episode(rewards, group=0, *, truncated=False, tokens=2, start=0.1, **more):
    """Steps of `tokens` tokens; values count up from `start`."""
    steps = []
    for t, reward in enumerate(rewards):
        values = [start + t + i / 10 for i in range(tokens)]
        steps.append(
            {
                "observation": f"a task\nstep {t}",
                "response": " ".join(["word"] * tokens),
                "tokens": tokens,
                "reward": reward,
                "value": float(np.mean(values)),
                "advantage": 0.0,
                "state_key": 7 + t,
                "token_value": values,
                "branch_advantage": t / 2,
            }
        )
    ends = {"terminated": not truncated, "truncated": truncated, "next_value": 0.0}
    total = float(sum(rewards))
    return {"group": group, "return": total, "steps": steps, **ends, **more}


def by_name(episodes, settings):
    found, left_out = recredit.of_episodes(episodes, settings)
    assert {e.estimator for e in found} | left_out.keys() == set(credit.names())
    return {e.estimator: e for e in found}, left_out


def gae(rewards, values, gamma, lam, beyond=0.0):
    out, after, carried = [], beyond, 0.0
    for r, v in zip(reversed(rewards), reversed(values), strict=True):
        carried = r + gamma * after - v + gamma * lam * carried
        after = v
        out.insert(0, carried)
    return out


GROUP = [episode([0, 0, 1.0]), episode([0, 0]), episode([1.0]), episode([0, 0.5])]


def test_every_estimator_reads_what_is_stored():
    settings = config("ppo", rollout__groups=16, rollout__group_size=4)
    found, left_out = by_name(GROUP, settings)
    assert not left_out and found["token_gae"].own
    first = GROUP[0]["steps"]
    step = gae([0, 0, 1.0], [s["token_value"][0] for s in first], 0.99, 0.95)
    np.testing.assert_allclose(found["step_gae"].steps[0], step, rtol=1e-5)
    values = [v for s in first for v in s["token_value"]]
    token = gae([0, 0, 0, 0, 0, 1.0], values, 0.99, 0.95)
    np.testing.assert_allclose(np.ravel(found["token_gae"].tokens[0]), token, rtol=1e-5)
    means = np.reshape(token, (3, 2)).mean(1)
    np.testing.assert_allclose(found["token_gae"].steps[0], means, rtol=1e-5)
    returns = np.array([1.0, 0, 1.0, 0.5])
    group = (returns - returns.mean()) / (returns.std() + 1e-6)
    for place, e in enumerate(found["grpo"].steps):
        np.testing.assert_allclose(e, [group[place]] * len(e), rtol=1e-5)
    others = (returns.sum() - returns) / 3
    np.testing.assert_allclose(found["rloo"].steps[1], [returns[1] - others[1]] * 2)
    assert found["monte_carlo"].steps[0] == [0.0, 0.5, 1.0]
    assert found["step_gae"].tokens is None


def test_the_run_s_own_settings_are_its_own_and_others_their_presets():
    settings = config("steppo", credit__gamma=0.5, credit__lam=0.25)
    found, _ = by_name(GROUP, settings)
    values = [s["token_value"][0] for s in GROUP[0]["steps"]]
    expected = gae([0, 0, 1.0], values, 0.5, 0.25)
    np.testing.assert_allclose(found["step_gae"].steps[0], expected, rtol=1e-5)
    assert found["step_gae"].settings == "gamma=0.5, lam=0.25"
    assert found["token_gae"].settings == "gamma=0.99, lam=0.95"


def test_what_a_limit_cut_bootstraps_from_the_stored_value():
    cut = episode([0, 0], truncated=True, next_value=4.0)
    settings = config("steppo", env__on_time_limit="bootstrap")
    found, _ = by_name([cut], settings)
    values = [s["token_value"][0] for s in cut["steps"]]
    expected = gae([0, 0], values, 0.99, 0.95, beyond=4.0)
    np.testing.assert_allclose(found["step_gae"].steps[0], expected, rtol=1e-5)
    del cut["next_value"]
    _, left_out = by_name([cut], settings)
    assert "beyond the limit" in left_out["step_gae"]


def test_padding_changes_nothing():
    """65 steps need a larger table than 64: the first episode stays as it was."""
    settings = config("ppo", rollout__groups=16, rollout__group_size=4)
    more = [*GROUP, *(episode([0.0] * 20, group=1, tokens=17) for _ in range(4))]
    for name in ("token_gae", "gigpo"):
        entry = credit.get(name)
        alone, padded = (recredit._one(entry, e, settings) for e in (GROUP, more))
        for a, b in zip(alone.steps, padded.steps, strict=False):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)


def test_what_is_not_stored_is_not_made_up():
    old = [{**e, "steps": [dict(s) for s in e["steps"]]} for e in GROUP]
    for e in old:
        for step in e["steps"]:
            for name in ("token_value", "state_key", "branch_advantage", "tokens"):
                del step[name]
    _, left_out = by_name(old, config("steppo", rollout__group_size=4))
    assert "prompts" in left_out["token_gae"] and "not stored" in left_out["gigpo"]
    assert "branching" in left_out["monte_carlo"]
    _, left_out = by_name(GROUP[:3], config("grpo", rollout__group_size=4))
    assert "not stored whole" in left_out["grpo"]
    assert left_out["step_gae"] == "the run has no critic"
    _, left_out = by_name(GROUP[:1], config("steppo"))
    assert "groups of one" in left_out["rloo"]


def test_no_episodes_give_nothing():
    assert recredit.of_episodes([], config())[0] == []


@pytest.mark.parametrize(
    ("wanted", "size", "available", "expected"),
    [
        (4, 1, 64, 4),
        (4, 8, 64, 8),
        (4, 4, 8, 4),
        (5, 4, 8, 8),
        (9, 4, 8, 8),
        (4, 8, 6, 4),
    ],
)
def test_whole_groups_are_stored_where_they_fit(wanted, size, available, expected):
    assert whole_groups(wanted, size, available) == expected
