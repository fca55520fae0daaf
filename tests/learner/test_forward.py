"""Log-probs in chunks of places: same values, same gradients, no table of logits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.learner import forward
from steppo_jax.models.heads import Policy
from tests import toy

V = 13  # another number than any width of the toy decoder
POLICY = Policy(dataclasses.replace(toy.DECODER, vocabulary=V))


def run():
    """((loss, (log_prob, entropy)), gradient) and the text of the program."""
    token = jax.random.randint(jax.random.key(1), (3, 7), 0, V)
    place = jnp.broadcast_to(jnp.arange(7), (3, 7))
    inputs = (token, place, jnp.ones_like(token))
    params = POLICY.init(jax.random.key(0), *inputs)

    def loss(params):
        log_prob, entropy = forward.log_probs(POLICY, params, inputs, 0.7)
        weight = jnp.arange(log_prob.size).reshape(log_prob.shape)
        return (weight * (log_prob + 0.3 * entropy)).sum(), (log_prob, entropy)

    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True))
    return compiled(params), compiled.lower(params).as_text()


def test_chunks_change_nothing_but_the_size_of_the_logits(monkeypatch):
    whole, whole_text = run()
    monkeypatch.setattr(forward, "LOGITS_AT_ONCE", 5 * V)
    cut, cut_text = run()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), whole, cut
    )
    table = f"3x6x{V}xf32"
    assert table in whole_text
    for shape in (table, f"18x{V}xf32", f"4x5x{V}xf32"):
        assert shape not in cut_text
    assert f"5x{V}xf32" in cut_text
