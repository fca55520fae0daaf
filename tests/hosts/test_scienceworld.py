"""ScienceWorld in its own simulator: folds, gold paths, the end of an episode."""

import pytest

from steppo_jax import hosts
from steppo_jax.hosts import scienceworld

FAMILY = hosts.make("scienceworld", max_steps=100)
QUICK = ("find-plant", "power-component")  # short gold paths


def test_panels_have_the_official_sizes_and_tasks_take_turns():
    assert [FAMILY.size(panel) for panel in FAMILY.panels] == [3592, 1796, 1819]
    first = [name for name, _ in scienceworld.tasks("all", "test")[:30]]
    assert first == list(scienceworld.SIZES)
    assert len(set(scienceworld.tasks("all", "train"))) == 3592
    assert hosts.make("scienceworld", variant="boil").size("dev") == 7


@pytest.fixture(scope="module")
def env():
    pytest.importorskip("scienceworld", reason="pip install 'steppo_jax[scienceworld]'")
    FAMILY.check()
    return FAMILY.make()


@pytest.mark.parametrize("name", QUICK)
def test_the_gold_path_reaches_the_full_score(env, name):
    place = scienceworld.tasks("all", "test").index((name, 0))
    seen, info = env.reset(options={"panel": "test", "task": place})
    assert seen.startswith("Task: Your task is to") and "Before:" not in seen
    total, over = 0.0, False
    while not over:
        seen, reward, over, _, info = env.step(info["expert"])
        total += reward
    assert info["outcome"]["score"] == 100 and info["outcome"]["success"] == 1
    assert total == 10 and seen.count("Before:") == 2


def test_a_wrong_focus_ends_the_episode_without_reward(env):
    env.reset(options={"panel": "train", "task": 0})
    _, reward, over, _, info = env.step("focus on picture")
    assert (reward, over) == (0.0, True)
    assert info["outcome"]["success"] == 0 and info["outcome"]["score"] < 0
