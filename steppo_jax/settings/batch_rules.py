"""Rules of the batch: how it is cut over devices, minibatches and sequences."""

from __future__ import annotations

import math

from steppo_jax import envs
from steppo_jax.envs import context
from steppo_jax.packing import bins_for
from steppo_jax.settings.errors import ConfigError, refuse
from steppo_jax.settings.needed import Values, needs, of_group
from steppo_jax.settings.ranges import MOST

MESH = ("parallel.data", "parallel.fsdp", "parallel.tensor")


def parallel(values: Values) -> None:
    kind = values["parallel.kind"]
    user = f"parallel.kind={kind}"
    for name in MESH:
        needs(values, name, kind == "mesh", user, 1)
    if kind != "mesh":
        return
    wanted = math.prod(values[name] for name in MESH)
    if values["devices"] not in (0, wanted):
        rule = f"{' * '.join(MESH)} = {wanted} devices make the mesh"
        raise refuse("devices", values["devices"], rule, "set --config.devices=0")
    tensor, fsdp = values["parallel.tensor"], values["parallel.fsdp"]
    for name in ("model.heads", "model.kv_heads", "model.mlp_width"):
        if values[name] % tensor:
            rule = f"does not divide {name}={values[name]}, which it cuts"
            raise refuse("parallel.tensor", tensor, rule, "use a divisor")
    if values["model.width"] % fsdp:
        rule = f"does not divide model.width={values['model.width']}, which it cuts"
        raise refuse("parallel.fsdp", fsdp, rule, "use a divisor")


def pieces(values: Values) -> tuple[int, str]:
    """Parts that the batch is cut into, and how they are named."""
    if values["parallel.kind"] == "mesh":
        count = values["parallel.data"] * values["parallel.fsdp"]
        return count, f"parallel.data * parallel.fsdp={count}"
    count = values["devices"] or 1
    return count, f"devices={count}"


def batch(values: Values) -> None:
    groups, size = values["rollout.groups"], values["rollout.group_size"]
    (devices, named), minibatches = pieces(values), values["learner.minibatches"]
    trajectories, parts = groups * size, devices * minibatches
    if trajectories % parts:
        raise ConfigError(
            f"config.rollout.groups={groups} * rollout.group_size={size} = "
            f"{trajectories} trajectories do not split into {named} * "
            f"learner.minibatches={minibatches} = {parts} equal parts; change one of "
            f"them so that {parts} divides {trajectories}"
        )
    rows = trajectories * values["env.max_steps"]
    if rows > MOST:
        raise ConfigError(
            f"config.rollout.groups={groups} * rollout.group_size={size} * "
            f"env.max_steps={values['env.max_steps']} = {rows} steps an iteration; "
            f"rows are counted up to {MOST}; lower one of them"
        )
    most = trajectories // parts * values["env.max_steps"]
    if values["learner.microbatch"] > most:
        rule = f"a device's minibatch holds at most {most} sequences (one per step)"
        raise refuse(
            "learner.microbatch",
            values["learner.microbatch"],
            rule,
            f"set {most} or less",
        )


def slots(values: Values) -> None:
    """Each piece of a mesh has as many slots of the engine."""
    count = values["lm.slots"]
    if count is None or values["parallel.kind"] != "mesh":
        return
    parts, named = pieces(values)
    if count % parts:
        rule = f"{named} parts of the mesh share them"
        raise refuse("lm.slots", count, rule, f"use a multiple of {parts}")


def layout(values: Values) -> None:
    name, width = values["learner.layout"], values["learner.width"]
    user = f"learner.layout={name}"
    needs(values, "learner.width", name != "rows", user, 256)
    if name == "merged" and values["context.policy"] == "rebuilt":
        rule = "context.policy=rebuilt: no prompt begins with the step before it"
        remedy = "set --config.learner.layout=packed, or context.policy=append"
        raise refuse("learner.layout", name, rule, remedy)
    if width is None:
        return
    longest = sum(sizes(values))
    if width < longest:
        rule = f"a prompt with its response may have {longest} tokens"
        raise refuse("learner.width", width, rule, f"set {longest} or more")
    (devices, _), steps = pieces(values), values["env.max_steps"]
    trajectories = values["rollout.groups"] * values["rollout.group_size"]
    rows = trajectories // (devices * values["learner.minibatches"]) * steps
    most, size = bins_for(rows, width, longest), values["learner.microbatch"]
    if size > most:
        rule = f"a device's minibatch is packed into at most {most} sequences"
        raise refuse("learner.microbatch", size, rule, f"set {most} or less")


def sizes(values: Values) -> tuple[int, int]:
    """Most tokens of a prompt, and of a response."""
    if values["lm.weights"] is not None:
        return values["lm.max_prompt"], values["lm.max_new"]
    given = {k: v for k, v in of_group(values, "env.").items() if v is not None}
    environment = context.wrap(
        envs.make(**given),
        values["context.policy"],
        values["context.turns"],
    )
    return environment.observation_length, environment.response_length
