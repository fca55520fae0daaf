"""The rules between fields. `check` is called before any device is touched."""

from __future__ import annotations

from collections.abc import Callable

import ml_collections

from steppo_jax import credit
from steppo_jax.models import kernels
from steppo_jax.settings import batch_rules, environment_rules, staleness_rules
from steppo_jax.settings.errors import ConfigError, refuse, unknown
from steppo_jax.settings.fields import FIELDS, WORDS, find, flat
from steppo_jax.settings.needed import Values, needs
from steppo_jax.settings.ranges import broken

# Fields of `credit` that an estimator may use, with a value to suggest.
CREDIT_OPTIONS = {
    "gamma": 0.99,
    "lam": 0.95,
    "lam_alpha": 0.05,
    "token_gamma": 1.0,
    "step_weight": 1.0,
    "divide_by_std": True,
}


def check(config: ml_collections.ConfigDict) -> None:
    """Returns if the configuration can run; else raises ConfigError, one line.

    Checked in this order: names and types, the range of each field, then the
    combinations. `devices=0` skips what depends on the number of devices: fill
    it in and check again.
    """
    values = flat(config)
    for rule in RULES:
        rule(values)


def _types(values: Values) -> None:
    for name in values:
        find(name)
    for name, field in FIELDS.items():
        if name not in values:
            raise ConfigError(f"config.{name} is missing; start from a preset")
        value = values[name]
        if value is None and field.optional:
            continue
        if value is None:
            raise refuse(name, None, "is not set", "start from a preset or give one")
        kinds = (float, int) if field.kind is float else (field.kind,)
        if type(value) not in kinds:
            raise refuse(name, value, f"needs {WORDS[field.kind]}", "correct it")


def _ranges(values: Values) -> None:
    for name, value in values.items():
        rule = None if value is None else broken(name, value)
        if rule:
            default = FIELDS[name].default
            remedy = "correct it" if default is None else f"the default is {default!r}"
            raise refuse(name, value, rule, remedy)


def _credit(values: Values) -> None:
    name = values["credit.estimator"]
    if name not in credit.names():
        raise unknown("config.credit.estimator", name, credit.names())
    estimator = credit.get(name)
    user = f"credit.estimator={name}"
    alternatives = {n for need in estimator.required for n in _several(need)}
    for option, example in CREDIT_OPTIONS.items():
        if option in alternatives:
            continue
        used = option in estimator.options
        needs(values, f"credit.{option}", used, user, example)
    for need in estimator.required:
        _one_of(values, _several(need), user)
    if not estimator.needs_state_keys:
        needs(values, "credit.similarity", False, user, None)
    if values["credit.official"]:
        _official(values, estimator)
    branches = estimator.needs_branching
    needs(values, "branching.branches", branches, user, 8)
    needs(values, "branching.gamma", branches, user, 0.99)
    if branches and values["env.on_time_limit"] == "bootstrap":
        rule = f"{user} plays to the limit and no further, and has no critic beyond it"
        remedy = "set env.on_time_limit=terminal or use a critic method"
        raise refuse("env.on_time_limit", "bootstrap", rule, remedy)
    size = values["rollout.group_size"]
    if estimator.needs_groups and size < 2:
        rule = f"{user} compares the trajectories of one task"
        raise refuse("rollout.group_size", size, rule, "set 2 or more")


def _official(values: Values, estimator: credit.Estimator) -> None:
    """The twin exists, and nothing is set that it would ignore."""
    if not estimator.has_official:
        twins = [n for n in credit.names() if credit.get(n).has_official]
        rule = f"credit.estimator={estimator.name} is not in the official code"
        remedy = f"set --config.credit.official=false, or use {', '.join(twins)}"
        raise refuse("credit.official", True, rule, remedy)
    if values["env.on_time_limit"] == "bootstrap":
        rule = "credit.official=True takes the value beyond a limit as 0"
        remedy = "set --config.env.on_time_limit=terminal or credit.official=false"
        raise refuse("env.on_time_limit", "bootstrap", rule, remedy)


def _several(need: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names of alternatives; a need without any has none."""
    return need if isinstance(need, tuple) else ()


def _one_of(values: Values, names: tuple[str, ...], user: str) -> None:
    """Exactly one of the alternatives must be given."""
    given = [name for name in names if values[f"credit.{name}"] is not None]
    if names and len(given) != 1:
        fields = " and ".join(f"credit.{name}" for name in given or names)
        first = f"credit.{names[0]}"
        raise refuse(
            first,
            values[first],
            f"{user} takes exactly one of {', '.join(names)}, not "
            + (fields if given else "none"),
            f"set --config.{first}={CREDIT_OPTIONS[names[0]]!r} and the others to None",
        )


def _kl(values: Values) -> None:
    used, user = values["kl.kind"] is not None, f"kl.kind={values['kl.kind']}"
    needs(values, "kl.coef", used, user, 1e-3)
    needs(values, "kl.place", used, user, "loss")


def _critic(values: Values) -> None:
    kind, name = values["critic.kind"], values["credit.estimator"]
    wanted = credit.get(name).critic
    if kind != wanted:
        rule = f"credit.estimator={name} reads a {wanted!r} critic"
        if wanted == "none":
            rule = f"credit.estimator={name} reads no critic"
        fits = [n for n in credit.names() if credit.get(n).critic == kind]
        remedy = f"set --config.critic.kind={wanted}"
        if fits:
            remedy += f", or an estimator for critic {kind}: {', '.join(fits)}"
        raise refuse("critic.kind", kind, rule, remedy)
    user = f"critic.kind={kind}"
    has = kind != "none"
    trunk = values["critic.trunk"]
    of_trunk = f"critic.trunk={trunk}" if has else user
    needs(values, "critic.coef", has and trunk == "shared", of_trunk, 0.5)
    needs(values, "critic.trunk", has, user, "own")
    needs(values, "critic.learning_rate", trunk == "own", of_trunk, 2e-3)
    needs(values, "critic.scale", has, user, 1.0)
    needs(values, "critic.warmup_iterations", has, user, 5)
    if not has:
        needs(values, "critic.value_clip", False, user, None)
        if values["env.on_time_limit"] == "bootstrap":
            rule = f"{user}: without a critic there is no value to bootstrap from"
            remedy = "set --config.env.on_time_limit=terminal or use a critic method"
            raise refuse("env.on_time_limit", "bootstrap", rule, remedy)
    elif values["critic.warmup_iterations"] >= values["iterations"]:
        rule = f"the policy would rest in all iterations={values['iterations']}"
        raise refuse(
            "critic.warmup_iterations",
            values["critic.warmup_iterations"],
            rule,
            "lower it or raise iterations",
        )


def _objective(values: Values) -> None:
    aggregate = values["objective.aggregate"]
    user = f"objective.aggregate={aggregate}"
    needs(values, "objective.constant", aggregate == "constant", user, 32.0)
    high, dual = values["objective.clip_high"], values["objective.dual_clip"]
    if dual is not None and dual <= 1 + high:
        rule = f"must be above 1 + objective.clip_high = {1 + high}"
        raise refuse("objective.dual_clip", dual, rule, "raise it, or set None")


def _model(values: Values) -> None:
    positions = values["model.positions"]
    user = f"model.positions={positions}"
    needs(values, "model.rope_theta", positions == "rope", user, 10000.0)
    _lora(values)
    kept = values["model.remat_keep"]
    if kept is not None and not values["model.remat"]:
        rule = "model.remat=False makes nothing again"
        raise refuse("model.remat_keep", kept, rule, "set --config.model.remat=True")
    heads, kv_heads = values["model.heads"], values["model.kv_heads"]
    if heads % kv_heads:
        rule = f"model.heads={heads} is not a multiple of it"
        raise refuse("model.kv_heads", kv_heads, rule, f"use a divisor of {heads}")
    if positions == "rope" and values["model.head_width"] % 2:
        rule = "rotary angles turn pairs of channels"
        raise refuse(
            "model.head_width", values["model.head_width"], rule, "use an even number"
        )


def _attention(values: Values) -> None:
    kind = values["model.attention"]
    if kind not in kernels.MULTIPLES:
        return
    prompt, response = batch_rules.sizes(values)
    for places in (prompt, values["learner.width"] or prompt + response):
        rule = kernels.why_not(kind, places, values["model.head_width"])
        if rule:
            raise refuse("model.attention", kind, rule, "use blocks")


def _language_model(values: Values) -> None:
    used, user = values["lm.weights"] is not None, f"lm.weights={values['lm.weights']}"
    examples = {"rules": True, "max_prompt": 512, "max_new": 32, "slots": 16}
    for name, example in examples.items():
        needs(values, f"lm.{name}", used, user, example)
    if not used:
        return
    if values["model.positions"] != "rope":
        rule = f"{user}: language models have rotary positions"
        remedy = "use the preset argument model=NAME, which sets all of model.*"
        raise refuse("model.positions", values["model.positions"], rule, remedy)
    count = values["devices"]
    if count > 1 and values["parallel.kind"] != "mesh":
        rule = f"{user} learns on one device under parallel.kind=pmap"
        mesh = {"kind": "mesh", "data": count, "fsdp": 1, "tensor": 1}
        fields = (f"--config.parallel.{k}={v}" for k, v in mesh.items())
        remedy = f"set --config.devices=1, or {' '.join(fields)}"
        raise refuse("devices", count, rule, remedy)
    name = values["credit.estimator"]
    if credit.get(name).needs_branching:
        rule = f"{user}: only an actor inside the program can branch"
        raise refuse("credit.estimator", name, rule, "use another method")


def _lora(values: Values) -> None:
    rank = values["model.lora_rank"]
    used, user = rank is not None, f"model.lora_rank={rank}"
    needs(values, "model.lora_alpha", used, user, 16.0)
    needs(values, "model.lora_layers", used, user, "all")
    width = values["model.width"]
    if used and rank > width:
        rule = f"one side of every matrix has model.width={width} channels"
        raise refuse("model.lora_rank", rank, rule, f"use {width} or less")


def _warm_start(values: Values) -> None:
    if values["warm_start.success"] > 0:
        _cloning(values)
        return
    for name, field in FIELDS.items():
        given = values[name] != field.default
        if name.startswith("warm_start.") and name != "warm_start.success" and given:
            rule = "warm_start.success=0 means no warm start, so it has no effect"
            remedy = f"leave it at {field.default!r}, or set warm_start.success"
            raise refuse(name, values[name], rule, remedy)


def _cloning(values: Values) -> None:
    episodes, (devices, named) = (
        values["warm_start.episodes"],
        batch_rules.pieces(values),
    )
    if episodes % devices:
        rule = f"{named} does not divide it"
        raise refuse("warm_start.episodes", episodes, rule, "use a multiple")
    most, every = values["warm_start.max_updates"], values["warm_start.check_every"]
    if most % every:
        rule = f"warm_start.check_every={every} does not divide it"
        raise refuse("warm_start.max_updates", most, rule, "use a multiple")


def _guards(values: Values) -> None:
    gap = values["guards.sampler_gap"]
    user = f"guards.sampler_gap={gap}"
    needs(values, "guards.gap_patience", gap is not None, user, 3)


def _preset(values: Values) -> None:
    name = values["preset"].partition(":")[0]
    if name != values["env.name"]:
        rule = f"names another environment than env.name={values['env.name']}"
        raise refuse("preset", values["preset"], rule, "it is set by the config file")


RULES: tuple[Callable[[Values], None], ...] = (
    _types,
    _ranges,
    _credit,
    _critic,
    _objective,
    _kl,
    _model,
    _language_model,
    batch_rules.parallel,
    batch_rules.batch,
    batch_rules.slots,
    _warm_start,
    _guards,
    staleness_rules.check,
    environment_rules.environment,
    _attention,
    batch_rules.layout,
    _preset,
)
