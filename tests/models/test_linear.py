"""Turned weights compute what plain ones do, whatever the number of rows."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.models import linear
from steppo_jax.models.attention import FEW, attend


@pytest.mark.parametrize("rows", [1, linear.FEW, linear.FEW + 1])
def test_a_product_is_the_same_on_either_side_of_the_limit(rows):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(rows, 6)), rng.normal(size=(5, 6))
    found = linear.times(jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32))
    np.testing.assert_allclose(found, x @ w.T, atol=1e-5)


def test_with_few_rows_the_weights_are_the_left_operand():
    def dots(rows):
        x, w = jnp.zeros((rows, 6)), jnp.zeros((5, 6))
        return jax.jit(linear.times).lower(x, w).as_text()

    few, many = dots(linear.FEW), dots(linear.FEW + 1)
    assert f"(tensor<5x6xf32>, tensor<{linear.FEW}x6xf32>)" in few
    assert f"(tensor<{linear.FEW + 1}x6xf32>, tensor<5x6xf32>)" in many


@pytest.mark.parametrize(
    ("name", "features", "axes", "shape"),
    [
        ("gate", (7,), 1, (2, 3, 6)),
        ("query", (4, 2), 1, (2, 3, 6)),
        ("out", (5,), 2, (2, 3, 4, 2)),
    ],
)
def test_a_turned_layer_is_dense_general_on_turned_kernels(name, features, axes, shape):
    class One(nn.Module):
        turned: bool

        @nn.compact
        def __call__(self, x):
            return linear.layer(
                self.turned, features, axes=axes, use_bias=True, name=name
            )(x)

    x = jax.random.normal(jax.random.key(0), shape)
    params = One(False).init(jax.random.key(1), x)
    params = jax.tree.map(lambda p: p + 0.5, params)  # a bias that is not zero
    turned = linear.turn(params)
    assert turned["params"][name]["kernel"].shape == (
        np.prod(features),
        np.prod(shape[-axes:]),
    )
    wanted, found = One(False).apply(params, x), One(True).apply(turned, x)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    fresh = jax.eval_shape(One(True).init, jax.random.key(1), x)
    assert jax.tree.map(jnp.shape, turned) == jax.tree.map(jnp.shape, fresh)


@pytest.mark.parametrize("length", [1, FEW // 2, FEW // 2 + 1])
def test_attention_is_the_same_on_either_side_of_the_limit(length):
    """Against softmax written out in float64; two query heads read each key head."""
    rng = np.random.default_rng(1)
    q = rng.normal(size=(2, length, 4, 3))
    k, v = rng.normal(size=(2, 2, 2, 12, 3))
    mask = rng.random((2, length, 12)) < 0.6
    mask[..., 0] = True
    score = np.einsum("slhk,shck->shlc", q, k.repeat(2, axis=1)) / 3**0.5
    weight = np.where(mask[:, None], np.exp(score), 0)
    weight /= weight.sum(-1, keepdims=True)
    wanted = np.einsum("shlc,shck->slhk", weight, v.repeat(2, axis=1))
    found = attend(*(jnp.asarray(x, jnp.float32) for x in (q, k, v)), jnp.asarray(mask))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
