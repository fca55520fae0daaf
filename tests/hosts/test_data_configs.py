"""Configurations of the data families: every method, and the word `paper`."""

import importlib

import pytest

from configs import common
from steppo_jax import methods, settings
from tests.hosts.data_cases import FAMILIES

NAMES = [family.name for family in FAMILIES]


def config(name: str, arg: str):
    return importlib.import_module(f"configs.{name}").get_config(arg)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_config_names_the_family_and_its_panels(family):
    found = config(family.name, "steppo")
    assert found.env.name == family.name
    assert found.env.max_steps == family().max_steps  # the paper's
    assert set(found.eval.panels) <= set(family.panels)
    assert "train" not in found.eval.panels


@pytest.mark.parametrize("method", methods.METHODS)
def test_paper_plays_as_many_trajectories_with_and_without_a_critic(method):
    for name, trajectories in zip(NAMES, (128, 256, 128)):
        found = config(name, f"{method},paper")
        rollout, critic = found.rollout, found.critic.kind != "none"
        assert rollout.groups * rollout.group_size == trajectories
        assert rollout.group_size == (1 if critic else 8)
        assert found.policy.learning_rate == 1e-6
        assert not critic or found.critic.learning_rate == 1e-5
        assert found.preset == f"{name}:{method},paper"


def test_later_words_win_over_paper():
    assert config("webshop", "steppo,paper,iterations=3").iterations == 3
    assert config("webshop", "steppo,paper,smoke").iterations == 3
    with pytest.raises(settings.ConfigError, match=r"'papers' .*: paper, smoke"):
        config("hotpotqa", "steppo,papers")


def test_files_without_the_word_refuse_it():
    with pytest.raises(settings.ConfigError, match="'paper' in 'ppo,paper' is unknown"):
        common.build("shop", "ppo,paper", fields={})
