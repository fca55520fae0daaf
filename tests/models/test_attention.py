"""Attention without a table of scores gives what the plain one gives."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.models import attention, kernels


def given(L: int, K: int):
    """Queries of 4 heads, keys and values of 2, and two segments before padding."""
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (2, L, 4, K))
    k, v = (jax.random.normal(key, (2, 2, L, K)) for key in keys[1:])
    place = np.arange(L)
    first = np.where(place < L // 3, 1, np.where(place < L - 2, 2, 0))
    return q, k, v, jnp.array(np.stack([first, np.where(place < 5, 7, 0)]))


def compared(kind, q, k, v, segment):
    """(values, gradients) of this kind and of the plain one, where anybody reads."""
    used = (segment > 0)[..., None, None]

    def plain(q, k, v):
        return attention.attend(q, k, v, attention.causal_mask(segment))

    def loss(run, *qkv):
        return (jnp.where(used, run(*qkv), 0.0) ** 2).sum()

    found = []
    for run in (kind, plain):
        grads = jax.jit(jax.grad(functools.partial(loss, run), (0, 1, 2)))(q, k, v)
        found.append((jnp.where(used, jax.jit(run)(q, k, v), 0.0), *grads))
    return found


@pytest.mark.parametrize("queries", [4, 64])
def test_blocks_of_queries(queries, monkeypatch):
    monkeypatch.setattr(attention, "QUERIES", queries)  # 4 does not divide 11
    q, k, v, segment = given(11, 8)

    def blocks(q, k, v):
        return attention.whole("blocks", q, k, v, segment)

    for a, b in zip(*compared(blocks, q, k, v, segment)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", kernels.MULTIPLES)
def test_the_fused_kernels_interpreted(kind):
    q, k, v, segment = given(128, 128)

    def kernel(q, k, v):
        return kernels.fused(kind, q, k, v, segment, interpret=True)

    for a, b in zip(*compared(kernel, q, k, v, segment)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", kernels.MULTIPLES)
def test_a_kernel_refuses_sizes_that_it_cannot_cut(kind):
    for L, K, words in ((100, 128, "100 places"), (128, 8, "heads of 8 channels")):
        q, k, v, segment = given(L, K)
        with pytest.raises(ValueError, match=rf"{words}: .* use blocks"):
            attention.whole(kind, q, k, v, segment)


def largest_array(text: str) -> int:
    """Numbers in the largest array that a compiled program names."""
    shapes = re.findall(r"\b[a-z]+\d+\[([\d,]+)\]", text)
    return max(math.prod(map(int, shape.split(","))) for shape in shapes)


def test_no_table_of_scores_in_the_compiled_text(monkeypatch):
    """Forward and backward: all scores of a sequence are nowhere, in any shape."""
    monkeypatch.setattr(attention, "QUERIES", 16)
    q, k, v, segment = given(96, 8)
    scores = q.shape[0] * q.shape[2] * 96 * 96

    def blocks(q, k, v):
        return (attention.whole("blocks", q, k, v, segment) ** 2).sum()

    def plain(q, k, v):
        return (attention.attend(q, k, v, attention.causal_mask(segment)) ** 2).sum()

    def text(run) -> str:
        return jax.jit(jax.grad(run, (0, 1, 2))).lower(q, k, v).compile().as_text()

    assert largest_array(text(plain)) >= scores
    assert largest_array(text(blocks)) <= scores / 4


def test_no_table_of_scores_in_the_text_for_a_gpu():
    """Lowered for CUDA, where there is none: only the kernel's operands are held."""
    L, H, K = 1024, 4, 64
    shapes = [((2, L, H, K), jnp.bfloat16), *[((2, 2, L, K), jnp.bfloat16)] * 2]
    shapes = [jax.ShapeDtypeStruct(*x) for x in [*shapes, ((2, L), jnp.int32)]]

    def loss(kind, q, k, v, segment):
        return (attention.whole(kind, q, k, v, segment).astype(jnp.float32) ** 2).sum()

    def text(kind) -> str:
        gradient = jax.jit(jax.grad(functools.partial(loss, kind), (0, 1, 2)))
        try:
            traced = gradient.trace(*shapes)
            return traced.lower(lowering_platforms=("cuda",)).as_text()
        except RuntimeError as error:
            if "AbstractDevice" in str(error):  # newer jax asks which GPU it would be
                pytest.skip(str(error))
            raise

    def largest(text: str) -> int:
        found = re.findall(r"tensor<((?:\d+x)+)[a-z]", text)
        return max(math.prod(map(int, shape[:-1].split("x"))) for shape in found)

    fused = text("triton")
    assert fused.count("custom_call @__gpu$xla.gpu.triton") >= 3
    assert largest(fused) == 2 * L * H * K  # the queries; scores would be 2·H·L²
    assert largest(text("blocks")) == 2 * H * attention.QUERIES * L
