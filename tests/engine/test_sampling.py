"""Top-k and top-p against a loop in NumPy; draws follow the probabilities."""

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.engine.sampling import filtered, sample


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
