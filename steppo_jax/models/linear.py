"""Linear layers whose weights can lie turned, for products with few rows.

A product of a few rows with a large matrix costs what reading the matrix costs. The
kernels of XLA on CPU first copy their right operand into blocks of their own and read
the left one as it lies; so with few rows the matrix must be the left operand, stored
[out, in]. Decoding one token for each of 32 slots is then half again as fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

FEW = 64  # rows up to which the weights are the left operand


class Turned(nn.Module):
    """y = xW + b of the last `axes` of x, with W stored as [out, in].

    The layer computes what `nn.DenseGeneral` computes; its parameters are those, as
    `turn` lays them.
    """

    features: tuple[int, ...]
    axes: int = 1  # how many of the last axes are the input's channels
    use_bias: bool = False
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    sums: Any = None  # dtype of the sums and of y; None = dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        rows, channels = x.shape[: -self.axes], math.prod(x.shape[-self.axes :])
        shape = (math.prod(self.features), channels)
        init = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        kernel_FD = self.param("kernel", init, shape, self.param_dtype)
        kernel_FD = kernel_FD.astype(self.dtype)
        y = times(x.astype(self.dtype).reshape(-1, channels), kernel_FD, self.sums)
        y = y.reshape(*rows, *self.features)
        if self.use_bias:
            zeros = nn.initializers.zeros
            bias = self.param("bias", zeros, self.features, self.param_dtype)
            y = y + bias.astype(y.dtype).reshape((1,) * len(rows) + self.features)
        return y


def times(x_MD: jax.Array, kernel_FD: jax.Array, out: Any = None) -> jax.Array:
    """[M, F] x·Wᵀ for W [F, D], the product with few rows as (W·xᵀ)ᵀ.

    Args:
      out: dtype of the sums and of the result; None = that of x.
    """
    last = (((1,), (1,)), ((), ()))  # contract the last axis of both
    if x_MD.shape[0] > FEW:
        return jax.lax.dot_general(x_MD, kernel_FD, last, preferred_element_type=out)
    y_FM = jax.lax.dot_general(kernel_FD, x_MD, last, preferred_element_type=out)
    # The barrier keeps XLA from turning the product back.
    return jax.lax.optimization_barrier(y_FM).T


def layer(
    turned: bool, features: int | Sequence[int], axes: int = 1, **options: Any
) -> nn.Module:
    """A linear layer of the last `axes` of its input, with its weights either way."""
    features = (features,) if isinstance(features, int) else tuple(features)
    if turned:
        options = {k: v for k, v in options.items() if k != "kernel_init"}
        return Turned(features, axes, **options)
    return nn.DenseGeneral(features, axis=tuple(range(-axes, 0)), **options)


@jax.jit
def turn(params: Any) -> Any:
    """A policy's parameters as its turned twin wants them: every kernel [out, in].

    A kernel with heads becomes a matrix: all but the layers named `out` read one axis
    of channels, and those read heads and channels of heads.
    """

    def one(path, x):
        if path[-1].key != "kernel":
            return x
        inputs = 2 if path[-2].key == "out" else 1
        return x.reshape(math.prod(x.shape[:inputs]), -1).T

    return jax.tree_util.tree_map_with_path(one, params)
