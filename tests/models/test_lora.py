"""Adapters: nothing at the start, a change of the weights after, and the only part
that a gradient is taken to."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.models import lora
from steppo_jax.models.heads import Policy
from steppo_jax.models.merging import merge
from tests.models.test_decoder import BASE, PLACE, SEGMENT, TOKEN, VARIANTS

RANK = 3


def with_adapters(config=BASE, layers="all", rank=RANK, **more):
    return dataclasses.replace(
        config, lora_rank=rank, lora_alpha=6.0, lora_layers=layers, **more
    )


@functools.partial(jax.jit, static_argnums=0)
def fresh(policy):
    return policy.init(jax.random.key(0), TOKEN, PLACE, SEGMENT)


@functools.cache
def trained(config):
    """A policy and variables whose adapters are away from zero."""
    policy, rng = Policy(config), np.random.default_rng(1)
    variables = fresh(policy)
    moved = jax.tree.map(
        lambda x: x + rng.normal(0, 0.2, x.shape).astype(np.float32), variables["lora"]
    )
    return policy, variables | {"lora": moved}


@functools.partial(jax.jit, static_argnums=0)
def logits(policy, variables):
    return policy.apply(variables, TOKEN, PLACE, SEGMENT)[0]


def loss(policy, variables):
    log_p = jax.nn.log_softmax(logits(policy, variables))
    return jnp.take_along_axis(log_p[:, :-1], TOKEN[:, 1:, None], -1).sum()


def test_fresh_adapters_change_nothing_bit_for_bit():
    config = VARIANTS["bias_norm_tied"]
    policy, plain = Policy(with_adapters(config)), Policy(config)
    variables, wanted = fresh(policy), fresh(plain)
    jax.tree.map(np.testing.assert_array_equal, variables["params"], wanted["params"])
    np.testing.assert_array_equal(logits(policy, variables), logits(plain, wanted))
    # The adapters are no part of the network that has none.
    np.testing.assert_array_equal(logits(plain, variables), logits(plain, wanted))


@pytest.mark.parametrize("layers", lora.LAYERS)
def test_adapters_stand_at_the_layers_that_are_named(layers):
    policy = Policy(with_adapters(layers=layers))
    variables = jax.eval_shape(lambda: fresh(policy))
    block = variables["lora"]["decoder"]["block_1"]
    found = {
        n.removesuffix("_adapter"): x for m in block.values() for n, x in m.items()
    }
    assert set(found) == set(lora.LAYERS[layers])
    shapes = {
        "query": (8, 16),
        "key": (8, 8),
        "value": (8, 8),
        "out": (16, 8),
        "gate": (8, 16),
        "up": (8, 16),
        "down": (16, 8),
    }
    for name, factors in found.items():
        inside, outside = shapes[name]
        assert factors["a"].shape == (inside, RANK)
        assert factors["b"].shape == (RANK, outside)


@pytest.mark.parametrize("name", ["rope", "bias_norm_tied"])
def test_merged_weights_say_what_the_adapters_say(name):
    config = with_adapters(VARIANTS[name])
    policy, variables = trained(config)
    plain, merged = merge(config, variables)
    assert plain == VARIANTS[name] and set(merged) == {"params"}
    with_them = logits(policy, variables)
    np.testing.assert_allclose(logits(Policy(plain), merged), with_them, atol=1e-5)
    assert jnp.abs(with_them - logits(Policy(plain), variables)).max() > 0.1
    embedding = ("params", "decoder", "embedding", "embedding")
    one, two = merged, variables
    for part in embedding:
        one, two = one[part], two[part]
    assert one is two, "what has no adapter is not copied"


def test_a_factor_of_full_rank_is_any_change_of_the_weights():
    """A·B with A = I (and a rank of all inputs) is B: W + (α/r)B, written by hand."""
    config = with_adapters(layers="mlp", rank=8)
    policy, variables = trained(config)
    change = np.random.default_rng(5).normal(size=(8, 16)).astype(np.float32)
    rest = jax.tree.map(jnp.zeros_like, variables["lora"])
    module = rest["decoder"]["block_0"]["mlp"]
    module["up_adapter"] = {"a": jnp.eye(8), "b": jnp.asarray(change)}
    changed = jax.tree.map(lambda x: x, variables["params"])
    up = changed["decoder"]["block_0"]["mlp"]["up"]
    up["kernel"] = up["kernel"] + 6.0 / 8 * change
    got = logits(policy, variables | {"lora": rest})
    wanted = logits(Policy(BASE), {"params": changed})
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_the_gradient_is_that_of_the_merged_weights_by_the_chain_rule():
    """W' = W + sAB: dA = s·dW'·Bᵀ and dB = s·Aᵀ·dW' for every layer."""
    config = with_adapters()
    policy, variables = trained(config)
    moving, fixed = lora.split(variables)
    gradient = jax.jit(jax.grad(lambda x: loss(policy, lora.join(x, fixed))))
    plain, merged = merge(config, variables)
    of_weights = jax.jit(jax.grad(lambda p: loss(Policy(plain), p)))(merged)["params"]
    got, of_weights = jax.device_get((gradient(moving)["lora"], of_weights))
    scale, compared = 6.0 / RANK, 0
    for block, modules in variables["lora"]["decoder"].items():
        for module, adapters in modules.items():
            for name, factors in adapters.items():
                a, b = map(np.asarray, (factors["a"], factors["b"]))
                layer = name.removesuffix("_adapter")
                full = of_weights["decoder"][block][module][layer]["kernel"]
                full = full.reshape(a.shape[0], b.shape[1])
                found = got["decoder"][block][module][name]
                for x, wanted in (("a", full @ b.T), ("b", a.T @ full)):
                    wanted = scale * wanted
                    size = np.linalg.norm(wanted)
                    assert size > 1e-3
                    assert np.linalg.norm(found[x] - wanted) < 1e-5 * size
                    compared += 1
    assert compared == 2 * 2 * 7


def test_split_and_join_are_inverse_and_all_is_trained_without_adapters():
    _, variables = trained(with_adapters())
    moving, fixed = lora.split(variables)
    assert set(moving) == {"lora"} and set(fixed) == {"params"}
    assert jax.tree.structure(lora.join(moving, fixed)) == jax.tree.structure(variables)
    plain = {"params": variables["params"]}
    assert lora.split(plain) == (plain, {})
    # A critic keeps its head; the decoder is fixed and comes from elsewhere.
    joined = lora.join({"params": {"head": 1}}, {"params": {"decoder": 2}})
    assert joined == {"params": {"head": 1, "decoder": 2}}


WIDE = dataclasses.replace(BASE, width=64, head_width=32, mlp_width=224, vocabulary=96)


def compiled_gradient(config, trains):
    """(HLO text, flops) of the compiled gradient of the loss on one batch."""
    policy = Policy(config)
    token = jnp.zeros((4, 12), jnp.int32)
    place = jnp.broadcast_to(jnp.arange(12)[None], (4, 12))
    inputs = (token, place, token + 1)
    variables = jax.eval_shape(policy.init, jax.random.key(0), *inputs)
    moving, fixed = lora.split(variables) if trains == "adapters" else (variables, {})

    def total(moving, fixed, token):
        out, _ = policy.apply(lora.join(moving, fixed), token, place, token * 0 + 1)
        return (out**2).sum()

    done = jax.jit(jax.grad(total)).lower(moving, fixed, token).compile()
    return done.as_text(), done.cost_analysis()["flops"]


def dots(text):
    """Shapes of the results of all matrix products, without axes of size one."""
    found = re.findall(r"= f32\[([\d,]*)\]\S* dot\(", text)
    return {tuple(n for n in map(int, s.split(",")) if n > 1) for s in found}


def test_no_gradient_of_fixed_weights_is_ever_computed():
    """Read off the compiled program: no product has the shape of a fixed matrix, and
    a third of the work is gone (forward, to inputs; not: to weights).
    """
    adapters = with_adapters(WIDE, rank=2)
    full, flops_full = compiled_gradient(WIDE, "all")
    few, flops_few = compiled_gradient(adapters, "adapters")
    # Of the head and the two sides of the MLP, either way round.
    kernels = {(64, 224), (224, 64), (96, 64), (64, 96)}
    assert dots(full) & kernels
    assert not dots(few) & kernels, dots(few) & kernels
    assert dots(few)  # the pattern still finds products
    assert flops_few < 0.75 * flops_full
    # And every factor does get one.
    assert {(64, 2), (2, 224)} <= dots(few) | {s[::-1] for s in dots(few)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lora_rank": 2}, "lora_alpha=None with lora_rank=2"),
        ({"lora_alpha": 2.0}, r"lora_alpha=2\.0 with lora_rank=None"),
        (
            {"lora_rank": 2, "lora_alpha": 1.0, "lora_layers": "query"},
            "known are",
        ),
    ],
)
def test_half_a_setting_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(BASE, **change)
