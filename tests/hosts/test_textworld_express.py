"""The eight games in their own simulator: the gold path reaches the full score."""

import pytest

from steppo_jax import hosts
from steppo_jax.hosts.textworld_express import GAMES
from steppo_jax.text.environment import state_key

FAMILY = hosts.make("textworld_express", max_steps=100)


@pytest.fixture(scope="module")
def env():
    pytest.importorskip("textworld_express", reason="pip install textworld-express")
    FAMILY.check()
    return FAMILY.make()


@pytest.mark.parametrize("task", range(len(GAMES)), ids=GAMES)
def test_the_gold_path_reaches_the_full_score(env, task):
    seen, info = env.reset(options={"panel": "train", "task": task})
    total, over = 0.0, False
    assert seen.startswith("Task: ") and info["commands"] == sorted(info["commands"])
    while not over:
        seen, reward, over, _, info = env.step(info["expert"])
        total += reward
    outcome = info["outcome"]
    assert outcome["success"] == 1 and outcome["score"] == pytest.approx(1.0)
    assert total == pytest.approx(1.0)


def test_a_task_is_the_same_game_every_time(env):
    options = {"panel": "test", "task": 2}

    def played():
        seen, info = env.reset(options=options)
        said = [(seen, info["commands"])]
        for n in (0, 3, 5):
            seen, *_, info = env.step(info["commands"][n])
            said.append((seen, info["commands"], info["outcome"]))
        return said

    first = played()
    env.reset(options={"panel": "test", "task": 11})
    assert played() == first
    first = env.reset(options=options)
    assert state_key(*first) != state_key(*env.reset(options={**options, "task": 10}))


def test_the_step_limit_is_the_runs(env):
    env.reset(options={"panel": "dev", "task": 2})
    for _ in range(150):
        *_, over, cut, _ = env.step("look around")
        assert not over and not cut
