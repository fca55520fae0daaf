"""The tree of settings with its defaults.

A field is a plain default (its type is the default's type), `needed(type)`
where a preset must choose, or `optional(type)` where None means "not used".
What a value must obey stands in `ranges` and `checks`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from steppo_jax.settings import history
from steppo_jax.settings.errors import ConfigError, unknown_field

# How a message names a type.
WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a name",
    tuple: "a list of names",
}


@dataclasses.dataclass(frozen=True)
class Field:
    """Type and default of one setting."""

    kind: type
    default: Any = None
    optional: bool = False  # None is a value: "this method does not use it"


def needed(kind: type) -> Field:
    return Field(kind)


def optional(kind: type, default: Any = None) -> Field:
    return Field(kind, default, optional=True)


TREE: dict[str, Any] = {
    "preset": needed(str),  # "environment:method[,smoke]", set by the config file
    "seed": 0,  # everything random follows from it
    "iterations": 80,  # rollout + update, after the warm start
    "devices": 0,  # 0 = all local ones; on CPU one per core where the batch allows
    "parallel": {  # how programs run on several devices
        "kind": "pmap",  # every device has all parameters | mesh: cut over devices
        "data": optional(int),  # mesh: pieces of the batch …
        "fsdp": optional(int),  # … times these, which cut parameters too
        "tensor": optional(int),  # mesh: pieces of heads, MLP and vocabulary
    },
    "env": {
        "name": "household",
        "max_steps": 20,  # the task's limit, in interaction steps
        "think_tokens": 4,  # free tokens allowed before the action
        "on_time_limit": "terminal",  # or "bootstrap": V of the true next state
        "variant": optional(str),  # host families: which of their tasks
        "tools": optional(bool),  # host families: act by a tool call, in JSON
        "data": optional(str),  # folder of official files, or generated
        "retriever": optional(str),  # what searches
        "encoder": optional(str),  # of a dense one: folder of the queries' model
        "top": optional(int),  # passages of a search
        "history": optional(int),  # earlier (page, action) pairs that are shown
        "relevance": optional(str),  # what calls of a paper search are paid by
    },
    "context": {
        "policy": "rebuilt",  # made anew | last: some earlier turns too | append: all
        "turns": optional(int),  # last: how many earlier turns stand in the prompt
    },
    "model": {  # policy and critic are two networks of this shape
        "width": 64,
        "layers": 2,
        "heads": 4,  # query heads
        "kv_heads": 4,  # fewer = grouped-query attention
        "head_width": 16,
        "mlp_width": 128,
        "positions": "learned",  # or "rope"
        "rope_theta": optional(float),  # base of the rotary angles, rope only
        "qkv_bias": False,
        "qk_norm": False,
        "tie_embeddings": False,
        "norm_eps": 1e-6,  # added to the mean square inside the norms
        "dtype": "float32",  # of activations and cache, or bfloat16; parameters stay
        "remat": False,  # make activations again in the backward pass: less memory
        "remat_keep": optional(str),  # products | None: of a block, only its input
        "scan_layers": False,  # one compiled block for all: deep models compile fast
        "attention": "plain",  # blocks | splash (TPU) | triton (GPU): no scores held
        "lora_rank": optional(int),  # of adapters; None = all weights are trained
        "lora_alpha": optional(float),  # adapters count lora_alpha / lora_rank times
        "lora_layers": optional(str),  # attention | mlp | all linear layers
    },
    "lm": {  # a language model that plays in text; model.* are its sizes
        "weights": optional(str),  # folder, .gguf file, or package:NAME
        "rules": optional(bool),  # the environment's rules stand in every prompt
        "max_prompt": optional(int),  # tokens; longer ones are cut (docs/models.md)
        "max_new": optional(int),  # most tokens of a response
        "slots": optional(int),  # responses sampled together
    },
    "host": {  # worker processes that play environments of a host family
        "workers": optional(int),  # environments at once, a process each
        "reset_seconds": optional(float),  # most that a reset may take
        "step_seconds": optional(float),  # most that a step may take
        "tries": optional(int),  # times that a lost episode is begun, then it stops
    },
    "gateway": {  # rows come from programs outside (experiments.gateway)
        "staleness": optional(int),  # iterations between sampling and use; None: off
        "idle_seconds": optional(float),  # a trajectory so long silent is abandoned
        "calls": optional(int),  # waiting or being answered; more are told to wait
    },
    "rollout": {
        "groups": 8,  # task instances per iteration
        "group_size": 8,  # trajectories of each
        "temperature": 1.0,  # the learner's log-probs use it too
        "staleness": 0,  # 1: by the weights before the last update, played beside it
    },
    "credit": {
        "estimator": needed(str),
        "gamma": optional(float),  # discount, per step or per token: the estimator's
        "lam": optional(float),  # λ of GAE
        "lam_alpha": optional(float),  # or λ = 1 − 1/(α·length), instead of lam
        "token_gamma": optional(float),  # bi_level_gae: discount inside a step
        "step_weight": optional(float),  # gigpo: weight of the step advantage
        "similarity": optional(float),  # gigpo: texts so alike are one state
        "normalise": needed(str),  # none | batch | token_batch | group
        "official": False,  # the official code's choices (docs/official.md §1, §4)
        "divide_by_std": optional(bool),  # groups: (R − mean) or (R − mean)/std
    },
    "branching": {  # what the actor measures for credit.estimator=monte_carlo
        "branches": optional(int),  # episodes played on from the state of every step
        "gamma": optional(float),  # discount of their rewards, per step
    },
    "objective": {
        "ratio": needed(str),  # token | step
        "clip_low": needed(float),  # ratio is kept in [1 − low, 1 + high]
        "clip_high": needed(float),
        "dual_clip": optional(float),  # bound of the loss where advantage < 0
        "aggregate": needed(str),  # which mean of the token losses
        "constant": optional(float),  # divisor of aggregate=constant, in tokens
        "entropy_coef": 0.0,
        "behaviour_cap": optional(float),  # of π_old/μ, off-policy correction
    },
    "kl": {  # to the policy after the warm start
        "kind": optional(str),  # None | k1 | k2 | k3
        "coef": optional(float),
        "place": optional(str),  # loss | reward
    },
    "policy": {
        "learning_rate": 1e-3,
        "grad_clip": 1.0,  # largest global norm of a gradient (critic too)
        "weight_decay": 0.0,
        "adam_b2": 0.99,
    },
    "critic": {
        "kind": needed(str),  # none | step | token, as the estimator needs
        "trunk": optional(str, "own"),  # a network of its own | shared: the policy's
        "coef": optional(
            float
        ),  # shared: of the value loss, which trains the trunk too
        "learning_rate": optional(float, 2e-3),  # own; shared: the policy's
        "scale": optional(float, 1.0),  # V is this × the network's output
        "value_clip": optional(float),  # largest change of V that counts; None = off
        "warmup_iterations": optional(int, 5),  # critic (shared: its head) only
    },
    "learner": {
        "epochs": 1,  # passes over one rollout
        "minibatches": 4,  # optimizer updates per epoch, of whole trajectories
        "microbatch": 16,  # sequences per gradient slice (memory and cache)
        "layout": "rows",  # one step each | packed: several | merged: a trajectory
        "width": optional(int),  # packed, merged: places of a packed sequence
    },
    "warm_start": {  # cloning of the scripted expert until success is measured
        "success": 0.10,  # on the train panel; 0 = no warm start
        "expert_noise": 0.2,  # chance of a random action per expert step
        "learning_rate": 2e-3,
        "episodes": 16,  # per cloning update
        "check_every": 10,  # cloning updates
        "max_updates": 2000,  # give up, with an error
        "measured_on": 256,  # tasks that success is measured on
    },
    "guards": {  # numbers that a run must not reach
        "max_skips": 8,  # updates not finite, left out in a row, then it stops
        "sampler_gap": optional(float, 0.05),  # mean |log π_old − log μ|: warns …
        "gap_patience": optional(int, 3),  # … and stops after so many iterations
        "max_kl": optional(float),  # mean KL(old‖new) of an iteration, stops
        "loss_spike": optional(float),  # standard deviations above the last losses
    },
    "eval": {
        "panels": ("seen", "unseen"),
        "every": 0,  # iterations; 0 = only before and after
        "decoding": "sampled",  # at rollout.temperature; or "greedy"
        "episodes": 512,  # the first ones of each panel
    },
    "checkpoint": {
        "every": 10,  # iterations
        "keep": 2,  # newest ones kept on disk
    },
    "trajectories": 4,  # episodes written as text, and the rest of their groups
}


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            out |= _flatten(value, f"{prefix}{name}.")
        else:
            out[prefix + name] = value
    return out


# Dotted name → Field, in the order of the tree.
FIELDS: dict[str, Field] = {
    name: value if isinstance(value, Field) else Field(type(value), value)
    for name, value in _flatten(TREE).items()
}


def find(name: str) -> Field:
    """The field with this dotted name. Raises ConfigError if there is none."""
    if name not in FIELDS:
        raise unknown_field(name, FIELDS)
    return FIELDS[name]


def tree() -> ml_collections.ConfigDict:
    """A fresh configuration: defaults, and None where a preset must still choose."""
    config = ml_collections.ConfigDict()
    for name, field in FIELDS.items():
        *parents, leaf = name.split(".")
        node = config
        for parent in parents:
            if parent not in node:
                node[parent] = ml_collections.ConfigDict()
            node = node[parent]
        if field.default is None or field.optional:
            node[leaf] = config_dict.FieldReference(
                field.default, field_type=field.kind
            )
        else:
            node[leaf] = field.default
    return config.lock()


def flat(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Dotted name → value, references resolved."""
    return _flatten(config.to_dict())


def from_dict(values: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """A configuration from nested plain data such as config.json's; lists are tuples.

    A field younger than the data gets the value of `history.ADDED`. Raises
    ConfigError for a field that does not exist, is missing though it is as old, or
    has another type. The rules of `check` are not applied.
    """
    given = history.completed(_flatten(values))
    for name in given:
        find(name)
    config = tree()
    for name, field in FIELDS.items():
        if name not in given:
            raise ConfigError(
                f"config.{name} is missing; add it (default {field.default!r})"
            )
        value = given[name]
        if field.kind is tuple and isinstance(value, list):
            value = tuple(value)
        try:
            config.update_from_flattened_dict({name: value})
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"config.{name}={value!r}: needs {WORDS[field.kind]}; correct it"
            ) from error
    return config
