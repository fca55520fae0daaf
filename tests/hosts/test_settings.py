"""A host family's fields: used with one, refused without, checked before a model."""

import pytest

from configs import alfworld, household, scienceworld, textworld_express
from steppo_jax import assembly, hosts, settings
from steppo_jax.hosts import requirements
from steppo_jax.hosts.requirements import Missing
from steppo_jax.settings import ConfigError
from steppo_jax.settings.environment_rules import OF_FAMILIES
from steppo_jax.text.host_programs import HostPrograms
from tests.hosts import corridor_config, fakes
from tests.text import tiny

FILES = {
    "alfworld": alfworld,
    "scienceworld": scienceworld,
    "textworld_express": textworld_express,
}
OTHER = {
    "host.workers": 3,
    "host.reset_seconds": 5.0,
    "host.step_seconds": 5.0,
    "host.tries": 5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("method", ["steppo", "ppo", "grpo", "official_steppo", "rloo"])
def test_every_file_goes_with_methods_models_and_words(name, method):
    for words in ("", ",smoke", ",paper", ",paper,smoke"):
        arg = f"{method}{words},model=smollm2_135m"
        if "paper" in words and name == "textworld_express":
            with pytest.raises(ConfigError, match="'paper': the paper has no numbers"):
                FILES[name].get_config(arg)
            continue
        made = FILES[name].get_config(arg)
        settings.check(made)
        assert made.env.name == name
        with pytest.raises(ConfigError, match=r"lm.weights=None: .*add model=NAME"):
            settings.check(FILES[name].get_config(f"{method}{words}"))


def test_the_papers_numbers():
    made = alfworld.get_config("steppo,paper,model=qwen3_4b")
    assert made.env.variant == "official" and made.env.tools
    assert (made.env.max_steps, made.rollout.groups, made.rollout.group_size) == (
        20,
        128,
        1,
    )
    assert made.objective.clip_low == 3e-4 and made.policy.learning_rate == 1e-6
    made = alfworld.get_config("grpo,paper,model=qwen3_4b")
    assert (made.rollout.groups, made.rollout.group_size) == (16, 8)
    assert made.objective.clip_low == 0.2


@pytest.mark.parametrize("field", [*OTHER, *(f"env.{x}" for x in OF_FAMILIES)])
def test_fields_of_a_family_are_refused_without_one(field):
    value = OTHER.get(field, "3" if field in ("env.top", "env.history") else "true")
    made = household.get_config(f"steppo,{field}={value}")
    with pytest.raises(ConfigError, match=f"{field}=.*env.name=household does not use"):
        settings.check(made)


@pytest.mark.parametrize("field", OTHER)
def test_every_field_changes_the_run(folder, field, monkeypatch):
    corridor_config.register(monkeypatch)

    def effects(made):
        settings.check(made)
        p = assembly.build(made)
        assert isinstance(p, HostPrograms)
        return p.pool.size, p.pool.limits, p._play_settings(1.0)

    base = effects(corridor_config.config(folder))
    assert effects(corridor_config.config(folder, f"{field}={OTHER[field]}")) != base
    with pytest.raises(ConfigError, match=f"{field}=None.*needs it"):
        settings.check(corridor_config.config(folder, f"{field}=None"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env.think_tokens=2"], "think_tokens=2: .*where thoughts are free"),
        (["env.variant=golf"], "'variant' is not one of its settings: max_steps"),
        (["eval.panels=seen"], "'seen' is unknown; .*known: train, test"),
        (["warm_start.success=0.5"], "expert_noise=0.2: .*must not be left; set 0"),
    ],
)
def test_what_a_family_cannot_do_is_refused(folder, words, message, monkeypatch):
    corridor_config.register(monkeypatch)
    with pytest.raises(ConfigError, match=message):
        settings.check(corridor_config.config(folder, *words))


def test_a_family_without_an_expert_has_no_warm_start(folder, monkeypatch):
    corridor_config.register(monkeypatch)
    monkeypatch.setattr(fakes.Corridors, "has_expert", False)
    with pytest.raises(ConfigError, match="corridors has no expert; set 0"):
        settings.check(corridor_config.config(folder, "warm_start.success=0.5"))


def test_what_is_missing_is_told_before_a_model_is_opened(monkeypatch):
    """Neither the packages nor the weights are there: the packages come first."""
    monkeypatch.setattr(requirements.importlib.util, "find_spec", lambda name: None)
    for name, file in FILES.items():
        made = file.get_config("grpo,model=qwen3_4b")
        extra = name.replace("_", "-")
        with pytest.raises(Missing, match=rf"pip install 'steppo_jax\[{extra}\]'"):
            assembly.build(made)


def test_java_is_asked_for(monkeypatch):
    monkeypatch.setattr(requirements.shutil, "which", lambda name: None)
    with pytest.raises(Missing, match="apt-get install openjdk-17-jre-headless"):
        requirements.java("scienceworld")


def test_unknown_families_and_settings_list_the_known_ones():
    with pytest.raises(ValueError, match="'doom' is not one of alfworld"):
        hosts.make("doom")
    with pytest.raises(ValueError, match="'chess' is not one of all, cookingworld"):
        hosts.make("textworld_express", variant="chess")
