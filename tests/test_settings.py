"""Every field changes something or is refused, in one line with the way out."""

import dataclasses
import json
import pathlib
import re

import pytest

import steppo_jax
from configs import household
from steppo_jax import programs, settings
from steppo_jax.settings.ranges import RANGES

METHODS = (
    "steppo",
    "ppo",
    "grpo",
    "gigpo",
    "bi_level",
    "monte_carlo",
)  # use all fields together
PACKAGE = pathlib.Path(steppo_jax.__file__).parent

# Field → another value that every preset (or those named) accepts, and what must
# change with it. Fields that no preset uses stand in UNUSED.
OTHER = {
    "seed": 1,
    "iterations": 81,
    "devices": 2,
    "parallel.kind": "mesh",
    "parallel.data": 2,
    "parallel.fsdp": 2,
    "parallel.tensor": 2,
    "env.max_steps": 12,
    "env.think_tokens": 2,
    "env.on_time_limit": "bootstrap",
    "context.policy": "append",
    "context.turns": 2,
    "model.width": 32,
    "model.layers": 1,
    "model.heads": 8,
    "model.kv_heads": 2,
    "model.head_width": 8,
    "model.mlp_width": 64,
    "model.positions": "rope",
    "model.rope_theta": 1e4,
    "model.qkv_bias": True,
    "model.qk_norm": True,
    "model.tie_embeddings": True,
    "model.norm_eps": 1e-5,
    "model.dtype": "bfloat16",
    "model.remat": True,
    "model.remat_keep": "products",
    "model.attention": "blocks",
    "model.scan_layers": True,
    "model.lora_rank": 4,
    "model.lora_alpha": 8.0,
    "model.lora_layers": "all",
    "rollout.groups": 16,
    "rollout.group_size": 4,
    "rollout.temperature": 0.7,
    "rollout.staleness": 1,
    "credit.gamma": 0.9,
    "credit.lam": 0.9,
    "credit.lam_alpha": 0.05,
    "credit.token_gamma": 0.9,
    "credit.step_weight": 0.5,
    "credit.similarity": 0.9,
    "credit.normalise": "group",
    "credit.official": True,
    "credit.divide_by_std": False,
    "branching.branches": 3,
    "branching.gamma": 0.9,
    "objective.ratio": None,  # filled in by `other`
    "objective.clip_low": 0.1,
    "objective.clip_high": 0.3,
    "objective.dual_clip": 3.0,
    "objective.aggregate": "token",
    "objective.constant": 32.0,
    "objective.entropy_coef": 0.01,
    "objective.behaviour_cap": 2.0,
    "kl.kind": "k3",
    "kl.coef": 0.001,
    "kl.place": "loss",
    "policy.learning_rate": 1e-4,
    "policy.grad_clip": 0.5,
    "policy.weight_decay": 0.01,
    "policy.adam_b2": 0.999,
    "critic.trunk": "shared",
    "critic.coef": 0.5,
    "critic.learning_rate": 1e-3,
    "critic.scale": 10.0,
    "critic.value_clip": 0.5,
    "critic.warmup_iterations": 0,
    "learner.epochs": 2,
    "learner.minibatches": 2,
    "learner.microbatch": 8,
    "learner.layout": "packed",
    "learner.width": 150,
    "warm_start.success": 0.3,
    "warm_start.expert_noise": 0.1,
    "warm_start.learning_rate": 1e-3,
    "warm_start.episodes": 32,
    "warm_start.check_every": 20,
    "warm_start.max_updates": 1000,
    "warm_start.measured_on": 128,
    "guards.max_skips": 3,
    "guards.sampler_gap": 0.1,
    "guards.gap_patience": 1,
    "guards.max_kl": 0.5,
    "guards.loss_spike": 6.0,
    "eval.panels": ("unseen",),
    "eval.every": 10,
    "eval.decoding": "greedy",
    "eval.episodes": 256,
    "checkpoint.every": 5,
    "checkpoint.keep": 3,
    "trajectories": 1,
}
MESH = {"parallel.kind": "mesh"} | {
    f"parallel.{axis}": 1 for axis in ("data", "fsdp", "tensor")
}
WITH = {  # what else must change so that the value is possible
    "context.turns": {"context.policy": "last"},
    "model.remat_keep": {"model.remat": True},
    "model.positions": {"model.rope_theta": 1e4},
    "model.rope_theta": {"model.positions": "rope"},
    "model.lora_rank": {"model.lora_alpha": 16.0, "model.lora_layers": "mlp"},
    "model.lora_alpha": {"model.lora_rank": 2, "model.lora_layers": "mlp"},
    "model.lora_layers": {"model.lora_rank": 2, "model.lora_alpha": 16.0},
    "objective.constant": {"objective.aggregate": "constant"},
    "credit.lam_alpha": {"credit.lam": None},
    "critic.trunk": {"critic.coef": 0.5, "critic.learning_rate": None},
    "critic.coef": {"critic.trunk": "shared", "critic.learning_rate": None},
    "parallel.kind": MESH,
    "parallel.data": MESH,
    "parallel.fsdp": MESH,
    "parallel.tensor": MESH,
    "learner.layout": {"learner.width": 100},
    "learner.width": {"learner.layout": "packed"},
    "rollout.staleness": {
        "objective.behaviour_cap": 2.0,
        "guards.sampler_gap": None,
        "guards.gap_patience": None,
    },
    "kl.kind": {"kl.coef": 0.1, "kl.place": "loss"},
    "kl.coef": {"kl.kind": "k1", "kl.place": "reward"},
    "kl.place": {"kl.kind": "k1", "kl.coef": 0.1},
}
NEIGHBOUR = {
    "context.turns": 3,
    "model.rope_theta": 500.0,
    "model.lora_rank": 8,
    "model.lora_alpha": 16.0,
    "model.lora_layers": "attention",
    "objective.constant": 1.0,
    "credit.lam_alpha": 0.5,
    "critic.coef": 1.0,
    "parallel.data": 4,
    "parallel.fsdp": 4,
    "parallel.tensor": 4,
    "learner.width": 100,
    "kl.kind": "k2",
    "kl.coef": 0.2,
    "kl.place": "reward",
}
CRITIC_FREE = ("grpo", "gigpo", "monte_carlo")
NO_BRANCHES = tuple(m for m in METHODS if m != "monte_carlo")
REFUSED_BY = {
    "env.on_time_limit": CRITIC_FREE,
    "credit.gamma": ("grpo", "monte_carlo"),
    "branching.branches": NO_BRANCHES,
    "branching.gamma": NO_BRANCHES,
    "credit.lam": CRITIC_FREE,
    "credit.lam_alpha": CRITIC_FREE,
    "credit.token_gamma": ("steppo", "ppo", "grpo", "gigpo", "monte_carlo"),
    "credit.step_weight": ("steppo", "ppo", "grpo", "bi_level", "monte_carlo"),
    "credit.similarity": ("steppo", "ppo", "grpo", "bi_level", "monte_carlo"),
    "critic.trunk": CRITIC_FREE,
    "critic.coef": CRITIC_FREE,
    "critic.learning_rate": CRITIC_FREE,
    "critic.scale": CRITIC_FREE,
    "critic.value_clip": CRITIC_FREE,
    "critic.warmup_iterations": CRITIC_FREE,
    "credit.official": ("bi_level", "monte_carlo"),
    "credit.divide_by_std": ("steppo", "ppo", "bi_level", "monte_carlo"),
}
# These name the point of the grid itself; each has its own test below.
NAMES = {"preset", "env.name", "credit.estimator", "critic.kind"}
# What a language model alone uses (tests/text/test_settings.py).
# And what its real environments use (tests/hosts/test_settings.py).
NAMES |= {"env.variant", "env.tools", "host.workers", "host.tries"}
NAMES |= {"env.data", "env.retriever", "env.encoder", "env.top", "env.history"}
NAMES |= {"env.relevance"}
# And what rows from outside use (tests/gateway/test_settings.py).
NAMES |= {"gateway.staleness", "gateway.idle_seconds", "gateway.calls"}
NAMES |= {"host.reset_seconds", "host.step_seconds"}
# What a gateway alone uses (tests/gateway).
NAMES |= {"gateway.staleness", "gateway.idle_seconds", "gateway.calls"}
NAMES |= {"lm.weights", "lm.rules", "lm.max_prompt", "lm.max_new", "lm.slots"}
# Read by the loop, not part of the compiled programs' settings.
LOOP = {
    "seed",
    "iterations",
    "devices",
    "credit.similarity",
    "eval.panels",
    "eval.every",
    "eval.decoding",
    "eval.episodes",
    "checkpoint.every",
    "checkpoint.keep",
    "trajectories",
}


def changed(method: str, field: str, value, alone: bool = False):
    config = household.get_config(method)
    if not alone:
        config.update_from_flattened_dict(WITH.get(field, {}))
    config.update_from_flattened_dict({field: value})
    return config


def other(method: str, field: str):
    if field == "objective.ratio":
        now = household.get_config(method).objective.ratio
        return "token" if now == "step" else "step"
    return OTHER[field]


def effects(config) -> tuple:
    """Everything that decides which programs are compiled, by value."""
    p = programs.build(config)
    return (
        dataclasses.asdict(p.learner.settings),
        p.learner.policy.config,
        p.env,
        p.play_settings("sampled"),
        p.clone_settings(),
        p.branching,
        p.guards,
        p.devices,
        (config.rollout.groups, config.rollout.group_size),
    )


def test_every_field_has_a_rule_and_a_case():
    assert set(RANGES) == set(settings.FIELDS)
    assert set(OTHER) | NAMES == set(settings.FIELDS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("arg", ["", ",smoke"])
def test_presets_are_accepted(method, arg):
    config = household.get_config(method + arg)
    settings.check(config)
    assert config.preset == f"household:{method}{arg}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("field", OTHER)
def test_every_field_changes_the_program_or_is_refused(method, field):
    value = other(method, field)
    refused = method in REFUSED_BY.get(field, ())
    config = changed(method, field, value, alone=refused)
    if refused:
        with pytest.raises(settings.ConfigError) as error:
            settings.check(config)
        assert_helpful(error, field, value)
        return
    settings.check(config)
    if field in LOOP:
        leaf = field.split(".")[-1]
        files = [PACKAGE / "train.py", PACKAGE / "programs.py"]
        text = "".join(file.read_text() for file in files)
        assert re.search(rf"\b(config|e)(\.\w+)?\.{leaf}\b", text), "nobody reads it"
        return
    base = household.get_config(method)
    if field in NEIGHBOUR:  # compare with another value, not with "unused"
        base = changed(method, field, NEIGHBOUR[field])
    settings.check(base)
    assert effects(config) != effects(base)


def test_the_learner_uses_the_temperature_of_the_rollout():
    p = programs.build(household.get_config("steppo,rollout.temperature=0.7"))
    assert p.learner.settings.temperature == 0.7
    assert p.play_settings("sampled").temperature == 0.7


def assert_helpful(error, field: str, value) -> None:
    text = str(error.value)
    assert "\n" not in text
    assert field in text and (repr(value) in text or str(value) in text)
    assert ";" in text, "value: rule; remedy"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "field",
    [
        "context.turns",
        "model.rope_theta",
        "model.lora_alpha",
        "model.lora_layers",
        "objective.constant",
        "learner.width",
        "parallel.data",
        "parallel.fsdp",
        "parallel.tensor",
    ],
)
def test_values_for_what_no_preset_uses_are_refused(method, field):
    with pytest.raises(settings.ConfigError) as error:
        settings.check(changed(method, field, OTHER[field], alone=True))
    assert_helpful(error, field, OTHER[field])
    assert f"--config.{field}=None" in str(error.value)


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("steppo", "credit.gamma"),
        ("ppo", "credit.lam"),
        ("grpo", "credit.divide_by_std"),
        ("steppo", "critic.learning_rate"),
        ("ppo", "critic.warmup_iterations"),
        ("ppo", "objective.clip_low"),
    ],
)
def test_what_a_method_needs_cannot_be_left_out(method, field):
    with pytest.raises(settings.ConfigError, match=re.escape(f"{field}=None")):
        settings.check(changed(method, field, None))


OUT_OF_RANGE = {
    "seed": (-1, 2**32),
    "iterations": (0, 2**31),
    "devices": (-1,),
    "parallel.kind": ("ddp",),
    "parallel.data": (0,),
    "parallel.fsdp": (0,),
    "parallel.tensor": (0,),
    "env.max_steps": (0, 10**30),
    "env.think_tokens": (-1,),
    "env.on_time_limit": ("ignore",),
    "model.width": (0,),
    "model.layers": (0,),
    "model.heads": (0,),
    "model.kv_heads": (0,),
    "model.head_width": (0,),
    "model.mlp_width": (0,),
    "model.positions": ("alibi",),
    "model.rope_theta": (1.0,),
    "model.norm_eps": (0.0,),
    "model.dtype": ("float16",),
    "model.attention": ("flash",),
    "model.lora_rank": (0,),
    "model.lora_alpha": (0.0,),
    "model.lora_layers": ("head",),
    "rollout.groups": (0,),
    "rollout.group_size": (0,),
    "rollout.temperature": (0.0, float("inf")),
    "rollout.staleness": (-1, 2),
    "credit.gamma": (-0.1, 1.1, float("nan")),
    "credit.lam": (-0.1, 1.1, float("nan")),
    "credit.normalise": ("layer",),
    "objective.ratio": ("sequence",),
    "objective.clip_low": (0.0, 1.0),
    "objective.clip_high": (0.0,),
    "objective.dual_clip": (1.0,),
    "objective.aggregate": ("mean",),
    "objective.constant": (0.0,),
    "objective.entropy_coef": (-0.1,),
    "objective.behaviour_cap": (0.0,),
    "learner.layout": ("columns",),
    "learner.width": (0,),
    "policy.learning_rate": (0.0, float("nan"), 1e300, 1e-46),
    "policy.grad_clip": (0.0,),
    "policy.weight_decay": (-0.1,),
    "policy.adam_b2": (0.0, 1.0),
    "critic.kind": ("shared",),
    "critic.trunk": ("lent",),
    "critic.coef": (0.0,),
    "critic.learning_rate": (0.0,),
    "critic.scale": (0.0,),
    "critic.value_clip": (0.0,),
    "critic.warmup_iterations": (-1,),
    "learner.epochs": (0,),
    "learner.minibatches": (0,),
    "learner.microbatch": (0,),
    "warm_start.success": (-0.1, 1.0),
    "warm_start.expert_noise": (1.1,),
    "warm_start.learning_rate": (0.0,),
    "warm_start.episodes": (0,),
    "warm_start.check_every": (0,),
    "warm_start.max_updates": (0,),
    "warm_start.measured_on": (0, 513),
    "guards.max_skips": (0,),
    "guards.sampler_gap": (0.0, float("inf")),
    "guards.gap_patience": (0,),
    "guards.max_kl": (0.0,),
    "guards.loss_spike": (0.0,),
    "eval.panels": ((), ("seen", "seen")),
    "eval.every": (-1,),
    "eval.decoding": ("beam",),
    "eval.episodes": (0, 513),
    "checkpoint.every": (0,),
    "checkpoint.keep": (0,),
    "trajectories": (-1,),
}


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, values in OUT_OF_RANGE.items() for v in values]
)
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(settings.ConfigError) as error:
        settings.check(changed("steppo", field, value, alone=True))
    assert_helpful(error, field, value)
    assert "must" in str(error.value)


ON = "parallel.kind=mesh,parallel.data"
COMBINATIONS = {
    "learner.minibatches=3": "64 trajectories do not split into .*3 equal parts",
    "rollout.groups=1048576,rollout.group_size=4096": "counted up to 2147483647",
    "devices=3": "devices=3 \\* learner.minibatches=8 = 24 equal parts",
    "devices=32,learner.minibatches=1": "devices=32 does not divide it",
    "learner.microbatch=257": "at most 160 sequences",
    f"{ON}=1,parallel.fsdp=2,parallel.tensor=1,devices=4": "= 2 devices make the mesh",
    f"{ON}=3,parallel.fsdp=1,parallel.tensor=1": "parallel.data . parallel.fsdp=3",
    f"{ON}=1,parallel.fsdp=1,parallel.tensor=3": "not divide model.heads=4, which",
    f"{ON}=1,parallel.fsdp=3,parallel.tensor=1": "not divide model.width=64, which",
    f"{ON}=1,parallel.fsdp=None,parallel.tensor=1": "kind=mesh needs it",
    "model.attention=splash": "heads of 16 channels: the TPU.* of 128; use blocks",
    "model.attention=triton": "sequences of .* places: the GPU.* of 128; use blocks",
    "learner.layout=merged,learner.width=200": "rebuilt: no prompt .*packed, or",
    "learner.layout=packed,learner.width=50": "may have 51 tokens; set 51 or more",
    "learner.layout=packed,learner.width=800": "packed into at most 11 sequences",
    "model.kv_heads=3": "model.heads=4 is not a multiple",
    "model.positions=rope": "rope_theta=None: model.positions=rope needs it",
    "model.lora_rank=2": "lora_alpha=None: model.lora_rank=2 needs it",
    "model.lora_rank=2,model.lora_alpha=4": "layers=None: model.lora_rank=2 needs it",
    "model.lora_rank=65,model.lora_alpha=4,model.lora_layers=mlp": "use 64 or less",
    "critic.warmup_iterations=160": "the policy would rest",
    "credit.official=true,env.on_time_limit=bootstrap": "limit as 0; set .*terminal",
    "critic.trunk=shared": "coef=None: critic.trunk=shared needs it",
    "critic.trunk=shared,critic.coef=1": "rate=0.002: critic.trunk=shared does not",
    "critic.coef=0.5": "coef=0.5: critic.trunk=own does not use it",
    "critic.trunk=None": "trunk=None: critic.kind=step needs it",
    "critic.kind=token": "reads a 'step' critic; .*critic.kind=step.*token_gae",
    "objective.aggregate=constant": "constant=None: .*needs it",
    "objective.dual_clip=1.02": "must be above 1 \\+ objective.clip_high",
    "warm_start.success=0,warm_start.episodes=32": "no effect; leave it at 16",
    "warm_start.check_every=30": "max_updates=2000: .*does not divide",
    "guards.sampler_gap=None": "patience=3: guards.sampler_gap=None does not use it",
    "guards.gap_patience=None": "guards.sampler_gap=0.05 needs it; set .*=3",
    "eval.panels=seen+nowhere": "'nowhere' is unknown; known: train, seen, unseen",
    "env.name=mansion": "'mansion' is unknown; known: household.*alfworld",
    "credit.estimator=gae": "'gae' is unknown; .*known: .*step_gae",
}


@pytest.mark.parametrize("words", COMBINATIONS)
def test_impossible_combinations_are_refused(words):
    with pytest.raises(settings.ConfigError, match=COMBINATIONS[words]) as error:
        settings.check(household.get_config(f"steppo,{words}"))
    assert "\n" not in str(error.value)


def test_groups_of_one_are_refused_where_a_group_is_compared():
    config = household.get_config("grpo,rollout.group_size=1,rollout.groups=64")
    with pytest.raises(settings.ConfigError, match=r"group_size=1: .*set 2 or more"):
        settings.check(config)
    settings.check(
        household.get_config("steppo,rollout.group_size=1,rollout.groups=64")
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", True), ("model.qk_norm", None), ("policy.grad_clip", None)],
)
def test_wrong_types_that_config_dict_lets_through_are_refused(field, value):
    with pytest.raises(settings.ConfigError, match=f"{field}={value}"):
        settings.check(changed("steppo", field, value))


def test_whole_numbers_are_fine_for_real_fields():
    settings.check(changed("steppo", "credit.gamma", 1))


def test_a_configuration_survives_json():
    for method in METHODS:
        config = household.get_config(method)
        again = settings.from_dict(json.loads(json.dumps(config.to_dict())))
        assert again.to_dict() == config.to_dict()
        settings.check(again)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"sed": 1}, "config.sed does not exist; did you mean 'seed'"),
        ({"seed": "one"}, "config.seed='one': needs a whole number"),
        ({"seed": None}, None),
    ],
)
def test_broken_stored_configurations_are_refused(edit, says):
    values = household.get_config().to_dict() | edit
    with pytest.raises(settings.ConfigError, match=says):
        settings.check(settings.from_dict(values))


def test_a_missing_stored_field_is_refused():
    values = household.get_config().to_dict()
    del values["env"]["max_steps"]
    with pytest.raises(settings.ConfigError, match=r"env\.max_steps is missing"):
        settings.from_dict(values)


def test_a_stored_configuration_may_lack_fields_that_came_later(monkeypatch):
    values = household.get_config().to_dict()
    del values["trajectories"]
    monkeypatch.setitem(settings.history.ADDED, "trajectories", 0)
    assert settings.from_dict(values).trajectories == 0
    assert settings.from_dict(values | {"trajectories": 3}).trajectories == 3


def test_what_older_runs_did_is_said_for_fields_that_exist():
    for name in settings.history.ADDED:
        settings.find(name)


@pytest.mark.parametrize("method", ["steppo", "grpo"])
def test_a_config_older_than_every_later_field_is_still_accepted(method):
    now = household.get_config(method)
    values = now.to_dict()
    for name in settings.history.ADDED:
        node, _, field = name.partition(".")
        del values[node][field]
    older = settings.from_dict(values)
    settings.check(older)
    assert older.to_dict() == now.to_dict()
