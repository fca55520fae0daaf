"""Log-probs in slices of places: same values, same gradients, no table of logits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.learner import forward, places
from steppo_jax.models.heads import Policy
from tests import toy

V = 13  # another number than any width of the toy decoder
SPREAD = np.array([[0, 0, 1, 1, 0, 1, 1], [0] * 7, [0, 1, 1, 1, 1, 1, 1]], bool)


def run(tied: bool = True, wanted=None):
    """((loss, (log_prob, entropy)), gradient) and the text of the program."""
    config = dataclasses.replace(toy.DECODER, vocabulary=V, tie_embeddings=tied)
    policy = Policy(config)
    token = jax.random.randint(jax.random.key(1), (3, 7), 0, V)
    place = jnp.broadcast_to(jnp.arange(7), (3, 7))
    inputs = (token, place, jnp.ones_like(token))
    params = policy.init(jax.random.key(0), *inputs)
    read = np.ones((3, 7), bool) if wanted is None else wanted

    @jax.jit
    def out(params, wanted):
        def loss(params):
            found = forward.log_probs(policy, params, inputs, 0.7, wanted)
            weight = jnp.arange(token.size).reshape(token.shape)
            kept = [jnp.where(read, x, 0) for x in found]
            return (weight * (kept[0] + 0.3 * kept[1])).sum(), kept

        return jax.value_and_grad(loss, has_aux=True)(params)

    return out(params, wanted), out.lower(params, wanted).as_text()


def same(one, other):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), one, other
    )


@pytest.mark.parametrize("kept", [0, 10**6], ids=["made again", "kept"])
@pytest.mark.parametrize("wanted", [None, SPREAD], ids=["all", "some"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "own head"])
def test_slices_change_nothing(monkeypatch, tied, wanted, kept):
    whole, _ = run(tied, wanted)
    monkeypatch.setattr(places, "LOGITS_AT_ONCE", 5 * V)
    monkeypatch.setattr(places, "LOGITS_KEPT", kept)
    cut, _ = run(tied, wanted)
    same(whole, cut)


def test_no_table_of_logits_is_held(monkeypatch):
    _, whole = run()
    monkeypatch.setattr(places, "LOGITS_AT_ONCE", 5 * V)
    monkeypatch.setattr(places, "LOGITS_KEPT", 0)
    _, cut = run()
    table = f"3x6x{V}xf32"
    assert table in whole
    for shape in (table, f"18x{V}xf32", f"4x5x{V}xf32", f"20x{V}xf32"):
        assert shape not in cut
    assert f"5x{V}xf32" in cut


def test_slices_are_of_one_size_and_no_larger_than_allowed(monkeypatch):
    monkeypatch.setattr(places, "LOGITS_AT_ONCE", 5 * V)
    assert [places.slices(n, V) for n in (1, 5, 6, 10, 11)] == [1, 5, 3, 5, 4]
    assert places.slices(3, 99 * V) == 1, "more words than that: one place at a time"


@pytest.mark.parametrize("some", [0, 1, 5, 6, 18])
def test_only_as_many_slices_are_made_as_the_wanted_places_fill(monkeypatch, some):
    monkeypatch.setattr(places, "LOGITS_AT_ONCE", 5 * V)
    made = []
    x, token = jnp.ones((18, 4)), jnp.zeros((18,), int)
    weight = jnp.ones((4, V))

    def logits(x):
        jax.debug.callback(made.append, x[0, 0])
        return x @ weight

    def read(logits, token):
        return logits.sum(-1), logits[:, 0]

    (found, _) = places.at_wanted(logits, read, x, token, jnp.arange(18) < some, V)
    jax.block_until_ready(found)
    jax.effects_barrier()
    assert len(made) == -(-some // 5)
    assert found.tolist() == [4.0 * V] * some + [0.0] * (18 - some)
