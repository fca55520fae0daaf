"""A language model's fields: used where there is one, refused where there is none."""

import dataclasses
import re

import pytest

from configs import household, models
from steppo_jax import assembly, settings
from steppo_jax.models.families import ModelError
from steppo_jax.settings import ConfigError
from steppo_jax.text.programs import TextPrograms

OTHER = {"lm.max_prompt": 300, "lm.max_new": 7, "lm.slots": 5, "lm.rules": False}


def config(folder, *words, method="steppo"):
    return household.get_config(",".join([method, "smoke", f"model={folder}", *words]))


def effects(p: TextPrograms) -> tuple:
    lm = p.config.lm
    return (
        dataclasses.asdict(p.learner.settings),
        p.learner.policy.config,
        p.source,
        p.prompter,
        lm.max_new,
        lm.slots,
    )


@pytest.mark.parametrize("method", ["steppo", "ppo", "grpo", "official_steppo"])
def test_a_model_goes_with_every_method(folder, method):
    made = config(folder, method=method)
    settings.check(made)
    p = assembly.build(made)
    assert isinstance(p, TextPrograms)
    assert p.learner.policy.config.vocabulary == p.source.config().vocabulary
    assert made.preset == f"household:{method},model={folder},smoke"


@pytest.mark.parametrize("field", OTHER)
def test_every_field_changes_the_run_or_is_refused(folder, field):
    base, changed = config(folder), config(folder, f"{field}={OTHER[field]}")
    settings.check(changed)
    assert effects(assembly.build(base)) != effects(assembly.build(changed))
    with pytest.raises(ConfigError, match=f"{re.escape(field)}=.*does not use it"):
        settings.check(household.get_config(f"steppo,{field}={OTHER[field]}"))
    with pytest.raises(ConfigError, match=f"{re.escape(field)}=None.*needs it"):
        settings.check(config(folder, f"{field}=None"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["devices=2"], "devices=2: lm.weights=.* learns on one device under"),
        (["model.positions=learned", "model.rope_theta=None"], "rotary positions"),
    ],
)
def test_what_a_model_cannot_do_is_refused(folder, words, message):
    with pytest.raises(ConfigError, match=message):
        settings.check(config(folder, *words))


def test_what_rematerialisation_keeps_is_no_matter_of_the_file(folder):
    p = assembly.build(config(folder, "model.remat=True", "model.remat_keep=products"))
    assert p.learner.policy.config.remat_keep == "products"


def test_branching_needs_an_actor_inside_the_program(folder):
    made = household.get_config(f"monte_carlo,model={folder}")
    with pytest.raises(ConfigError, match="only an actor inside the program can"):
        settings.check(made)


def test_another_models_sizes_are_refused(folder):
    made = config(folder, "model.width=32")
    settings.check(made)
    with pytest.raises(ModelError, match="width=32, the file has 16"):
        assembly.build(made)


@pytest.mark.parametrize("name", models.WEIGHTS)
def test_named_models_are_whole_configurations(name):
    made = household.get_config(f"steppo,model={name}")
    settings.check(made)
    assert made.model.heads * made.model.head_width >= made.model.width // 2
    assert made.lm.weights


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"model='gpt' is neither .* smollm2_135m"):
        household.get_config("steppo,model=gpt")
    with pytest.raises(ConfigError, match="one model is enough"):
        household.get_config("steppo,model=smollm2_135m,model=qwen3_4b")


def test_on_smollm2_135m_the_sizes_are_those_of_the_file(tmp_path):
    """The numbers of the PyPI wheel's file, as measured."""
    made = household.get_config("steppo,model=smollm2_135m").model
    layer = made.width * made.head_width * (2 * made.heads + 2 * made.kv_heads)
    layer += 3 * made.width * made.mlp_width + 2 * made.width
    assert 49152 * made.width + made.layers * layer + made.width == 134_515_008
