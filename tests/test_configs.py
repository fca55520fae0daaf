"""The argument string of configuration files."""

import importlib

import pytest

from configs import household, paper_scale
from steppo_jax import envs, methods, settings


def test_words_after_the_method_set_fields():
    config = household.get_config(
        "ppo,seed=3,credit.gamma=1,model.qk_norm=true,eval.panels=seen+train,"
        "critic.value_clip=none"
    )
    assert (config.seed, config.credit.gamma, config.model.qk_norm) == (3, 1.0, True)
    assert config.eval.panels == ("seen", "train")
    assert config.critic.value_clip is None


def test_later_layers_win():
    assert household.get_config("steppo,smoke").iterations == 3
    assert household.get_config("steppo,smoke,iterations=5").iterations == 5
    assert household.get_config("steppo,iterations=5,smoke").iterations == 5


@pytest.mark.parametrize(
    ("arg", "says"),
    [
        ("stepo", "'stepo' is unknown; did you mean 'steppo'"),
        ("", "preset '' is unknown; known: steppo, capo, ppo, grpo"),
        ("steppo,fast", "'fast' in 'steppo,fast' is unknown; .*smoke"),
        ("steppo,smoke,smoke", "'smoke' in .* is unknown"),
        ("steppo,", "'' in 'steppo,' is unknown"),
        ("steppo,credit.gama=1", "did you mean 'credit.gamma'"),
        ("steppo,credit=1", "config.credit does not exist"),
        ("steppo,seed=x", "config.seed='x': needs a whole number"),
        ("steppo,seed=1.5", "config.seed='1.5': needs a whole number"),
        ("steppo,seed=", "config.seed='': needs a whole number"),
        ("steppo,seed=none", "config.seed=None: needs a whole number"),
        ("steppo,model.qk_norm=1", "config.model.qk_norm='1': needs true or false"),
        ("steppo,preset=ppo", "the preset is the first word"),
    ],
)
def test_anything_else_is_refused(arg, says):
    with pytest.raises(settings.ConfigError, match=says) as error:
        household.get_config(arg)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_method_sets_its_grid_and_leaves_the_rest_unused(name):
    values = settings.flat(household.get_config(name))
    wanted = methods.METHODS[name].fields
    assert {field: values[field] for field in wanted} == dict(wanted)
    grid = [f for f in values if f.startswith(("credit.", "objective."))]
    optional = [f for f in grid if settings.FIELDS[f].optional and f not in wanted]
    assert all(values[f] is None for f in optional)


def test_the_tree_is_locked():
    with pytest.raises(AttributeError):
        household.get_config().credit.gama = 1.0


@pytest.mark.parametrize("name", ["qwen3_4b", "llama3_70b"])
def test_shapes_of_the_papers_size_are_accepted(name):
    config = paper_scale.get_config(f"{name},parallel.fsdp=32,parallel.data=2")
    settings.check(config)
    assert config.lm.weights == f"shapes:{name}"
    assert config.rollout.groups * config.rollout.group_size == 128
    assert config.env.max_steps == 20
    assert paper_scale.get_config(f"{name},rollout.groups=8").rollout.groups == 8
    with pytest.raises(settings.ConfigError, match="known sizes are smollm2_135m, "):
        paper_scale.get_config("qwen4")


@pytest.mark.parametrize("environment", envs.names())
def test_every_environment_has_every_preset(environment):
    file = importlib.import_module(f"configs.{environment}")
    for method in methods.METHODS:
        for words in (method, f"{method},smoke"):
            config = file.get_config(words)
            settings.check(config)
            assert config.env.name == environment
            assert config.preset == f"{environment}:{words}"
