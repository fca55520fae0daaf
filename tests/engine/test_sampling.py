"""Top-k and top-p against a loop in NumPy; draws follow the probabilities."""

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.engine.sampling import draw, filtered, sample


def kept(logits, k, p):
    """Ids that stay: the k likeliest, of these the fewest with mass ≥ p."""
    order = np.argsort(-logits, kind="stable")[: k or len(logits)]
    mass = np.exp(logits[order] - logits[order].max())
    mass /= mass.sum()
    n = int(np.searchsorted(np.cumsum(mass), p - 1e-6)) + 1
    return set(order[:n].tolist())


def test_filters_keep_what_a_loop_keeps():
    rng = np.random.default_rng(0)
    cases = [(0, 1.0), (3, 1.0), (0, 0.6), (4, 0.7), (1, 0.1), (20, 0.999)]
    logits = rng.normal(0, 2, (len(cases), 20)).astype(np.float32)
    k, p = (jnp.asarray(x) for x in zip(*cases, strict=True))
    out = np.asarray(filtered(logits, k, p))
    for row, before, (k_, p_) in zip(out, logits, cases, strict=True):
        ids = set(np.nonzero(row > -1e29)[0].tolist())
        assert ids == (kept(before, k_, p_) if (k_ or p_ < 1) else set(range(20)))
        np.testing.assert_array_equal(row[sorted(ids)], before[sorted(ids)])


def test_log_prob_is_that_of_the_distribution_sampled():
    n = 4000
    logits = np.tile(np.log([0.5, 0.25, 0.15, 0.1]).astype(np.float32), (n, 1))
    key = jax.random.split(jax.random.key(0), n)

    def draw(temperature, k, p):
        full = [jnp.full((n,), x) for x in (temperature, k, p)]
        token, log_prob = sample(logits, key, *full)
        return np.asarray(token), np.exp(np.asarray(log_prob))

    for temperature, k, p, wanted in (
        (1.0, 0, 1.0, [0.5, 0.25, 0.15, 0.1]),
        (0.5, 0, 1.0, np.array([0.25, 0.0625, 0.0225, 0.01]) / 0.345),
        (1.0, 2, 1.0, [2 / 3, 1 / 3, 0, 0]),
        (1.0, 0, 0.6, [2 / 3, 1 / 3, 0, 0]),
    ):
        token, prob = draw(temperature, k, p)
        np.testing.assert_allclose(prob, np.asarray(wanted)[token], rtol=1e-5)
        share = np.bincount(token, minlength=4) / n
        np.testing.assert_allclose(share, wanted, atol=0.03)
    token, prob = draw(0.0, 0, 1.0)
    assert set(token.tolist()) == {0}
    np.testing.assert_allclose(prob, 0.5, rtol=1e-5)


def test_draws_over_many_blocks_follow_the_probabilities():
    """700 words fill three blocks, the last in part; one block has no mass at all."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, 700).astype(np.float32)
    logits[256:512] = -1e30
    n = 40_000
    key = jax.random.split(jax.random.key(1), n)
    token = np.asarray(draw(jnp.tile(logits, (n, 1)), key))
    wanted = np.exp(logits) / np.exp(logits).sum()
    assert not ((token >= 256) & (token < 512)).any() and token.max() < 700
    share = np.bincount(token, minlength=700) / n
    spread = np.sqrt(wanted * (1 - wanted) / n)
    assert (np.abs(share - wanted) < 5 * spread + 1e-9).all()
    assert abs(share[:256].sum() - wanted[:256].sum()) < 0.012
