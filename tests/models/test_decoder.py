"""The decoder: causal, segment-safe, equal with and without a cache."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.models.attention import attend, causal_mask
from steppo_jax.models.decoder import Decoder, DecoderConfig, grow, rotate
from steppo_jax.models.heads import Critic, Policy, ValueHead, log_prob_and_entropy

BASE = DecoderConfig(
    vocabulary=11,
    width=8,
    layers=2,
    heads=4,
    kv_heads=2,
    head_width=4,
    mlp_width=16,
    positions="learned",
    max_positions=12,
)
VARIANTS = {
    "learned": BASE,
    "rope": dataclasses.replace(
        BASE, positions="rope", rope_theta=100.0, max_positions=None
    ),
    "bias_norm_tied": dataclasses.replace(
        BASE, qkv_bias=True, qk_norm=True, tie_embeddings=True
    ),
}
TOKEN = jnp.array([[1, 5, 3, 7, 2, 9], [4, 4, 6, 1, 0, 0]], jnp.int32)
PLACE = jnp.broadcast_to(jnp.arange(6, dtype=jnp.int32)[None], (2, 6))
SEGMENT = jnp.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], jnp.int32)


def policy_and_params(config):
    policy = Policy(config)
    params = policy.init(jax.random.key(0), TOKEN, PLACE, SEGMENT)
    # Away from the symmetric start, so that no term is zero by accident.
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [x + 0.1 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys)]
    return policy, jax.tree.unflatten(tree, noisy)


def test_attend_equals_a_plain_loop_with_grouped_heads():
    """q·k softmax written out for every head, query and key, in float64."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(1, 3, h, 2)) for h in (4, 2, 2))
    mask = np.tril(np.ones((3, 3), bool))
    expected = np.zeros((1, 3, 4, 2))
    for head in range(4):
        for i in range(3):
            scores = [q[0, i, head] @ k[0, j, head // 2] / 2**0.5 for j in range(i + 1)]
            weight = np.exp(scores) / np.exp(scores).sum()
            expected[0, i, head] = sum(
                w * v[0, j, head // 2] for j, w in enumerate(weight)
            )
    got = attend(
        jnp.asarray(q, jnp.float32),
        *(jnp.asarray(x, jnp.float32).swapaxes(1, 2) for x in (k, v)),
        jnp.asarray(mask)[None],
    )
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_mask_is_causal_and_stays_inside_segments():
    # Two segments of two places, then padding.
    mask = causal_mask(jnp.array([[1, 1, 2, 2, 0]]))[0].astype(int)
    np.testing.assert_array_equal(
        mask,
        [
            [1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [0, 0, 1, 0, 0],
            [0, 0, 1, 1, 0],
            [0, 0, 0, 0, 0],
        ],
    )


def test_rotation_depends_on_the_distance_only():
    q = jax.random.normal(jax.random.key(0), (1, 1, 1, 8))
    k = jax.random.normal(jax.random.key(1), (1, 1, 1, 8))

    def score(i, j):
        at = [jnp.array([[x]]) for x in (i, j)]
        return (rotate(q, at[0], 50.0) * rotate(k, at[1], 50.0)).sum()

    np.testing.assert_allclose(score(7, 4), score(3, 0), rtol=1e-5)
    assert abs(score(7, 4) - score(7, 3)) > 1e-3


@pytest.mark.parametrize("name", VARIANTS)
def test_later_tokens_and_other_segments_change_nothing(name):
    policy, params = policy_and_params(VARIANTS[name])
    logits, _ = policy.apply(params, TOKEN, PLACE, SEGMENT)
    later, _ = policy.apply(params, TOKEN.at[:, 3].set(8), PLACE, SEGMENT)
    np.testing.assert_array_equal(logits[:, :3], later[:, :3])
    assert jnp.abs(logits[:, 3] - later[:, 3]).max() > 1e-3
    # The same two tokens alone, and behind another segment of the same sequence.
    alone, _ = policy.apply(params, TOKEN[:1, 2:4], PLACE[:1, :2], SEGMENT[:1, :2])
    packed_segment = jnp.array([[1, 1, 2, 2]])
    packed_place = jnp.array([[0, 1, 0, 1]])
    packed, _ = policy.apply(params, TOKEN[:1, :4], packed_place, packed_segment)
    np.testing.assert_allclose(packed[:, 2:], alone, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_decoding_with_a_cache_equals_the_whole_sequence(name):
    """Prompts of length 3 and 2 padded to 3, then three cached tokens each."""
    policy, params = policy_and_params(VARIANTS[name])
    P, C = 3, 6
    length = jnp.array([3, 2])
    prompt = jnp.array([[1, 5, 3], [4, 4, 0]], jnp.int32)
    said = jnp.array([[7, 2, 9], [6, 1, 8]], jnp.int32)
    real = (jnp.arange(P)[None] < length[:, None]).astype(jnp.int32)
    _, cache = policy.apply(params, prompt, PLACE[:, :P], real)
    cache = grow(cache, C)
    whole = jnp.array([[1, 5, 3, 7, 2, 9], [4, 4, 6, 1, 8, 0]], jnp.int32)
    used = (whole > 0).astype(jnp.int32)
    expected, _ = policy.apply(params, whole, PLACE, used)
    for i in range(3):
        place = jnp.arange(C)
        visible = jnp.pad(real > 0, ((0, 0), (0, 3)))
        visible |= ((place >= P) & (place <= P + i))[None]
        logits, cache = policy.apply(
            params,
            said[:, i : i + 1],
            (length + i)[:, None],
            cache=cache,
            place=P + i,
            mask_SLC=visible[:, None],
        )
        rows = jnp.arange(2)
        np.testing.assert_allclose(
            logits[:, 0], expected[rows, length + i], atol=2e-5, rtol=1e-5
        )


def test_padding_never_makes_a_nan_even_with_nothing_to_attend():
    policy, params = policy_and_params(BASE)
    empty = jnp.zeros_like(SEGMENT)

    def loss(p):
        return policy.apply(p, TOKEN, PLACE, empty)[0].sum()

    value, grads = jax.value_and_grad(loss)(params)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_critic_reads_one_number_per_place_and_starts_near_zero():
    critic = Critic(BASE)
    params = critic.init(jax.random.key(0), TOKEN, PLACE, SEGMENT)
    value = critic.apply(params, TOKEN, PLACE, SEGMENT)
    assert value.shape == TOKEN.shape and value.dtype == jnp.float32
    assert jnp.abs(value).max() < 0.2


def test_log_prob_and_entropy_by_hand():
    # Logits 0 and log 3 at temperature 1: p = 1/4, 3/4.
    logits = jnp.log(jnp.array([[1.0, 3.0]]))
    log_prob, entropy = log_prob_and_entropy(logits, jnp.array([1]), 1.0)
    np.testing.assert_allclose(log_prob, [np.log(0.75)], rtol=1e-6)
    by_hand = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    np.testing.assert_allclose(entropy, [by_hand], rtol=1e-6)
    # Temperature 1/2 squares the odds: p = 1/10, 9/10.
    colder, _ = log_prob_and_entropy(logits, jnp.array([0]), 0.5)
    np.testing.assert_allclose(colder, [np.log(0.1)], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kv_heads": 3}, "heads=4 is not a multiple of kv_heads=3"),
        ({"positions": "none"}, "known are"),
        ({"positions": "rope"}, "needs rope_theta"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BASE, **change)


def test_decoder_alone_returns_normalised_hidden_states():
    decoder = Decoder(BASE)
    params = decoder.init(jax.random.key(0), TOKEN, PLACE, SEGMENT)
    hidden, _ = decoder.apply(params, TOKEN, PLACE, SEGMENT)
    rms = jnp.sqrt((hidden**2).mean(axis=-1))
    np.testing.assert_allclose(rms, jnp.ones_like(rms), rtol=1e-2)


def test_the_value_of_a_scaled_critic_is_that_many_times_its_output():
    params = Critic(BASE).init(jax.random.key(0), TOKEN, PLACE, SEGMENT)
    plain = Critic(BASE).apply(params, TOKEN, PLACE, SEGMENT)
    scaled = Critic(BASE, scale=10.0).apply(params, TOKEN, PLACE, SEGMENT)
    np.testing.assert_allclose(scaled, 10 * plain, rtol=1e-6)
    head = ValueHead(scale=10.0)
    hidden = jnp.ones((1, 2, BASE.width))
    params = head.init(jax.random.key(0), hidden)
    np.testing.assert_allclose(
        head.apply(params, hidden), 10 * ValueHead().apply(params, hidden), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("remat", "keep"), [(False, None), (True, None), (True, "products")]
)
def test_one_block_for_all_layers_is_the_same_network(remat, keep):
    roped = dataclasses.replace(VARIANTS["rope"], remat=remat, remat_keep=keep)
    policy, params = policy_and_params(roped)
    looped = Policy(dataclasses.replace(policy.config, scan_layers=True))
    again = looped.init(jax.random.key(0), TOKEN, PLACE, SEGMENT)
    assert jax.tree.structure(again) == jax.tree.structure(params)

    def gradient(of):
        def loss(params):
            logits, cache = of.apply(params, TOKEN, PLACE, SEGMENT)
            return (jnp.where(SEGMENT[..., None] > 0, logits, 0.0) ** 2).sum(), cache

        return jax.tree.leaves(jax.jit(jax.grad(loss, has_aux=True))(params))

    for found, wanted in zip(gradient(looped), gradient(policy)):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_what_is_kept_is_not_made_again():
    def products(**changes) -> int:
        """Matrix products of a gradient."""
        config = dataclasses.replace(BASE, **changes)
        policy, params = policy_and_params(config)

        def loss(params):
            return (policy.apply(params, TOKEN, PLACE, SEGMENT)[0] ** 2).sum()

        return str(jax.make_jaxpr(jax.grad(loss))(params)).count("dot_general")

    none, some = products(), products(remat=True, remat_keep="products")
    # Seven linear layers a block, of which the last one's result is in no gradient;
    # scores are batched products, made again either way.
    assert none < some < products(remat=True)
