"""Configurations of the data families: every method, and the word `paper`."""

import importlib

import pytest

from configs import common
from steppo_jax import hosts, methods, settings
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
        found = config(name, f"{method},paper,model=qwen3_4b")
        rollout, critic = found.rollout, found.critic.kind != "none"
        assert rollout.groups * rollout.group_size == trajectories
        assert rollout.group_size == (1 if critic else 8)
        assert found.policy.learning_rate == 1e-6
        assert not critic or found.critic.learning_rate == 1e-5
        assert found.preset == f"{name}:{method},model=qwen3_4b,paper"
        if method != "monte_carlo":  # needs an actor that can branch
            settings.check(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shipped_config_is_accepted_and_makes_the_family(family):
    found = config(family.name, "steppo,model=smollm2_135m")
    settings.check(found)
    made = hosts.make(**found.env.to_dict())
    assert isinstance(made, family) and not made.tools
    made.check()
    assert made.instructions == made.make().instructions


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("webshop", "retriever", "lucene"),
        ("webshop", "history", 0),
        ("hotpotqa", "retriever", "dense"),
        ("hotpotqa", "top", 4),
        ("hotpotqa", "encoder", "folder"),
        ("paper_search_real", "relevance", "overlap"),
        ("paper_search_real", "data", "folder"),
        ("hotpotqa", "tools", True),
    ],
)
def test_every_field_reaches_the_family(name, field, value):
    found = config(name, f"steppo,model=smollm2_135m,env.{field}={value}")
    settings.check(found)
    assert getattr(hosts.make(**found.env.to_dict()), field) == value


def test_a_field_of_another_family_is_refused():
    found = config("webshop", "steppo,model=smollm2_135m,env.top=3")
    with pytest.raises(settings.ConfigError, match="'top' is not one of its settings"):
        settings.check(found)


def test_later_words_win_over_paper():
    assert config("webshop", "steppo,paper,iterations=3").iterations == 3
    assert config("webshop", "steppo,paper,smoke").iterations == 3
    with pytest.raises(settings.ConfigError, match=r"'papers' .*paper, model"):
        config("hotpotqa", "steppo,papers")


def test_files_without_the_word_refuse_it():
    with pytest.raises(settings.ConfigError, match="'paper' in 'ppo,paper' is unknown"):
        common.build("shop", "ppo,paper", fields={})
