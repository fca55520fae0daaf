"""Programs compiled ahead of time: for a TPU topology that is not here, or the devices
that are. Nothing of size is made: shapes go in, and the compiler's own account of
memory comes out.

    flops of an update = Σ passes · (2 · weights · places + 2 · 2 · heads · K · Σ L²/2)

with a forward pass counted once and a gradient three times; what rematerialisation
does again is no model's flop. A step critic sees prompts only.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
from ml_collections import ConfigDict

from steppo_jax import hlo, layout, packing, programs
from steppo_jax.engine import spread
from steppo_jax.errors import Refused
from steppo_jax.mesh import Mesh
from steppo_jax.models.sizes import SIZES
from steppo_jax.programs import Programs
from steppo_jax.structs import Steps, Tokens

GIB = 2**30
SHAPES = "shapes:"  # lm.weights=shapes:NAME: a size of models.sizes without weights


@dataclasses.dataclass(frozen=True)
class Account:
    """What one program needs of each device; bytes and flops of one run."""

    name: str
    arguments: int
    results: int  # beyond those written over arguments
    between: int
    flops: float  # the model's own, of all devices; 0 where not counted
    sent: dict[str, int]  # bytes of collectives by kind
    compiler_flops: float  # the compiler's count of each loop's body once
    compiler_seconds: float | None  # its estimate of the same

    @property
    def total(self) -> int:
        return self.arguments + self.results + self.between


class DoesNotFit(Exception):
    """The compiler found no place for a program; the message is its own."""


def tpu(topology: str) -> tuple[Any, ...]:
    """Devices of a TPU topology that need not exist. Raises Refused."""
    from jax.experimental import topologies

    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    except Exception as error:  # whatever libtpu or its absence raises
        said = " ".join(str(error).split())[:160]
        raise Refused(
            f"--topology={topology}: {said}; names look like v5e:16x16, v5p:4x4x4 or "
            "v6e:16x16, and libtpu comes with pip install 'steppo_jax[aot]'"
        ) from error
    return tuple(found.devices)


def build(config: ConfigDict, devices: tuple[Any, ...] | None) -> Programs:
    """Programs of a checked config on these devices, or on the local ones."""
    p = config.parallel
    if devices is None:
        where = programs.devices(config)
    elif not programs.on_mesh(config):
        raise Refused(
            "config.parallel.kind='pmap': programs for other devices are laid out on a "
            "mesh; set --config.parallel.kind=mesh and its data, fsdp and tensor"
        )
    else:
        try:
            where = Mesh(devices, p.data, p.fsdp, p.tensor)
        except ValueError as error:
            raise Refused(f"config.parallel: {error}; make them equal") from None
    if config.lm.weights is None:
        env = programs.environment(config)
        decoder = programs.decoder_config(config, env)
        return Programs(config, env, where, programs.learner(config, decoder))
    decoder = programs.DecoderConfig(
        **config.model.to_dict(), vocabulary=_vocabulary(config.lm.weights)
    )
    return Programs(config, None, where, programs.learner(config, decoder))


def _vocabulary(weights: str) -> int:
    name = weights.removeprefix(SHAPES)
    if not weights.startswith(SHAPES) or name not in SIZES:
        raise Refused(
            f"config.lm.weights={weights!r}: only shapes are compiled here; give "
            f"{SHAPES}NAME with a name of {', '.join(SIZES)}"
        )
    return SIZES[name].vocabulary


def tables(p: Programs) -> tuple[Steps, Tokens]:
    """Shapes of what a rollout gives to the update."""
    if p.config.lm.weights is None:
        state = p.devices.laid_out(_state(p), copies=True)
        played = p.devices.laid_out(p.played(state))
        return played.steps, played.tokens
    N, T = p.learner.settings.trajectories, p.config.env.max_steps
    P, R = p.config.lm.max_prompt, p.config.lm.max_new
    B = N * T

    def shaped(kind, *shape):
        return jax.ShapeDtypeStruct(shape, kind)

    def table(prompt, said, log_prob, length, beyond, row, beyond_length):
        more = (beyond, row, beyond_length)
        if p.config.env.on_time_limit != "bootstrap":
            more = (None, None, None)
        version = jnp.int32(0)
        return layout.rows(
            prompt, prompt[:, :R], said, log_prob, version, length, *more
        )

    whole, number, real = jnp.int32, shaped(jnp.int32, B), shaped(jnp.float32, B)
    tokens = jax.eval_shape(
        table,
        shaped(whole, B, P),
        shaped(bool, B, R),
        shaped(jnp.float32, B, R),
        number,
        shaped(whole, N, P),
        shaped(whole, N),
        shaped(whole, N),
    )
    yes, key = shaped(bool, B), shaped(jnp.uint32, B)
    steps = Steps(real, number, number, number, yes, yes, key, real, yes)
    return p.devices.laid_out((steps, tokens))


def _state(p: Programs) -> Any:
    return jax.eval_shape(p.learner.init, jax.random.key(0))


def update(p: Programs) -> tuple[Account, str]:
    """The account of an update, and its compiled text. Raises DoesNotFit."""
    steps, tokens = tables(p)
    given = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, p.numbers))
    state = p.devices.laid_out(_state(p), copies=True)
    numbers = p.devices.laid_out(given, copies=True)
    lowered = p.update_of_numbers.lower(numbers, state, steps, tokens)
    return _account(p, "update", lowered, slices(p, tokens), flops(p, tokens))


def rollout(p: Programs) -> tuple[Account, str]:
    """The account of a rollout inside the program, and its text. Raises DoesNotFit."""
    state = p.devices.laid_out(_state(p), copies=True)
    return _account(p, "rollout", p.collect.lower(state), 1, 0.0)


def engine(p: Programs) -> list[Account]:
    """Accounts of a generation engine's two programs at their largest.

    They run between updates on the chips of one host; the learner's state lies beside
    and is counted as arguments. Raises DoesNotFit, and Refused where slots, heads or
    chips do not divide.
    """
    lm, mesh = p.config.lm, p.devices
    if not isinstance(mesh, Mesh):  # then a language model works on one device
        mesh = Mesh(tuple(mesh.devices[:1]), 1, 1, 1)
    try:
        slots = spread.slots_here(mesh, lm.slots)
        programs_of = spread.Spread(mesh, p.learner.policy, slots)
    except ValueError as error:  # of_process
        raise Refused(f"config.{error}, or --norollout") from None
    lowered = programs_of.lower(slots, lm.max_prompt + lm.max_new)
    beside = p.devices.bytes_on_one(_state(p))
    found = [_account(p, name, x, 1, 0.0)[0] for name, x in lowered.items()]
    return [dataclasses.replace(x, arguments=x.arguments + beside) for x in found]


def slices(p: Programs, tokens: Tokens) -> int:
    """Most slices of a minibatch: how often its loops run."""
    s = p.learner.settings
    rows = tokens.value_at.shape[-2] // s.minibatches
    if s.width is not None:
        rows = packing.bins_for(rows, s.width, tokens.token.shape[-1])
    return -(-rows // s.microbatch)


def flops(p: Programs, tokens: Tokens) -> float:
    """The formula above, every step of every trajectory at its longest."""
    s, c = p.learner.settings, p.learner.policy.config
    rows, L = tokens.value_at.shape[-2] * p.devices.numbered, tokens.token.shape[-1]
    attention = c.width * c.head_width * 2 * (c.heads + c.kv_heads)
    layers = c.layers * (attention + 3 * c.width * c.mlp_width)
    head = c.width * c.vocabulary

    def forward(weights: int, places: int) -> float:
        scores = 2 * c.layers * c.heads * c.head_width * places**2
        return 2.0 * weights * places + scores

    passes = 1 + 3 * s.epochs
    total = passes * forward(layers + head, L) + (s.kl is not None) * forward(
        layers + head, L
    )
    if s.critic is not None:
        total += passes * forward(layers, tokens.prompt_columns)
    return rows * total


def _account(
    p: Programs, name: str, lowered: Any, slices: int, flops: float
) -> tuple[Account, str]:
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        said = re.search(
            r"[Uu]sed [^.]*\. Exceeded[^.]*\.\d+\w*|RESOURCE.*", str(error)
        )
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise DoesNotFit(said[0] if said else str(error)) from error
    found, text = compiled.memory_analysis(), _text(compiled)
    cost = compiled.cost_analysis() or {}
    account = Account(
        name=name,
        arguments=found.argument_size_in_bytes,
        results=found.output_size_in_bytes - found.alias_size_in_bytes,
        between=found.temp_size_in_bytes,
        flops=flops,
        sent=hlo.collectives(text, slices),
        compiler_flops=cost.get("flops", 0.0),
        compiler_seconds=cost.get("optimal_seconds"),
    )
    return account, text


def _text(compiled: Any) -> str:
    try:
        return compiled.as_text()
    except jax.errors.JaxRuntimeError as error:
        raise Refused(
            f"compiled, but jaxlib {jaxlib.__version__} cannot read the program of the "
            "installed libtpu; take the one of this jax: "
            f"pip install 'jax[tpu]=={jax.__version__}'"
        ) from error


def parameters(p: Programs) -> dict[str, tuple[int, int]]:
    """Part of the state → (numbers in all, bytes on each device)."""
    state = _state(p)
    parts = {
        "policy": state.policy,
        "critic": state.critic,
        "optimizers": (state.policy_opt, state.critic_opt),
        "reference": state.reference,
    }
    return {
        name: (sum(x.size for x in jax.tree.leaves(t)), p.devices.bytes_on_one(t))
        for name, t in parts.items()
    }
