"""Attention without a table of scores gives what the plain one gives."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.models import attention


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


def test_the_kernel_of_tpus_interpreted():
    q, k, v, segment = given(128, 128)

    def splash(q, k, v):
        return attention._splash(q, k, v, segment, interpret=True)

    for a, b in zip(*compared(splash, q, k, v, segment)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_the_kernel_refuses_sizes_that_it_cannot_cut():
    q, k, v, segment = given(100, 128)
    with pytest.raises(ValueError, match=r"sequences of 100 places .* use blocks"):
        attention.whole("splash", q, k, v, segment)


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
