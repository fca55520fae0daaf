"""Low-rank adapters beside fixed weights: y = xW + (α/r)(xA)B (arXiv 2106.09685).

A is [in, r] and random, B is [r, out] and zero at the start, so a fresh adapter
changes nothing. Both live in a collection of their own, `lora`; the weights they
stand beside stay in `params`. What is trained is one part of the variables, so a
gradient is taken to that part alone and that of the fixed weights never exists.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

COLLECTION = "lora"
# What `DecoderConfig.lora_layers` can be, and the linear layers that it names.
ATTENTION, MLP = ("query", "key", "value", "out"), ("gate", "up", "down")
LAYERS = {"attention": ATTENTION, "mlp": MLP, "all": ATTENTION + MLP}

Variables = dict[str, Any]  # flax collections of a policy or critic


class Adapter(nn.Module):
    """What the adapter of one linear layer adds to it."""

    out: int  # channels of the layer's result, heads included
    rank: int
    scale: float  # α/r
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x_SLE: jax.Array) -> jax.Array:
        """[S, L, out] for inputs [S, L, E] of the layer.

        The factors are float32 whatever the weights are: a step of the optimizer is
        smaller than what bfloat16 can add.
        """
        E = x_SLE.shape[-1]
        first = nn.initializers.variance_scaling(1.0, "fan_in", "normal")

        def draw():
            return first(self.make_rng("params"), (E, self.rank), jnp.float32)

        a_Er = self.variable(COLLECTION, "a", draw).value
        b_rF = self.variable(COLLECTION, "b", jnp.zeros, (self.rank, self.out)).value
        x_SLE, a_Er, b_rF = (x.astype(self.dtype) for x in (x_SLE, a_Er, b_rF))
        return (x_SLE @ a_Er) @ b_rF * jnp.asarray(self.scale, self.dtype)


def adapted(config, name: str, x: jax.Array, y: jax.Array) -> jax.Array:
    """The result y [S, L, …] of the linear layer `name` on x, with its adapter's.

    Called inside a compact module. The very y where the layer has no adapter.
    """
    if config.lora_rank is None or name not in LAYERS[config.lora_layers]:
        return y
    S, L = x.shape[:2]
    more = Adapter(
        y[0, 0].size,
        config.lora_rank,
        config.lora_scale,
        jnp.dtype(config.dtype),
        name=f"{name}_adapter",
    )(x.reshape(S, L, -1))
    return y + more.reshape(y.shape)


def split(variables: Variables) -> tuple[Variables, Variables]:
    """(what is trained, what is fixed): adapters and the rest, or all and nothing."""
    if COLLECTION not in variables:
        return variables, {}
    fixed = {name: tree for name, tree in variables.items() if name != COLLECTION}
    return {COLLECTION: variables[COLLECTION]}, fixed


def join(trained: Variables, fixed: Variables) -> Variables:
    """Undoes `split`. A collection that both have gets the modules of both."""
    both = {name: fixed.get(name, {}) | tree for name, tree in trained.items()}
    return fixed | both
