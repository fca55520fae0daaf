"""How far the engine's log-probs are from the learner's: float32 and bfloat16, with
adapters and without."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax.engine import Engine
from steppo_jax.learner import forward
from steppo_jax.models.decoder import empty_cache
from steppo_jax.models.heads import Policy
from tests.engine.test_engine import CONFIG, STOP, requests

ADAPTERS = {"lora_rank": 4, "lora_alpha": 8.0, "lora_layers": "all"}


def gaps(dtype, adapters):
    """|log-prob of the engine − of the learner| of every token of 16 responses."""
    more = ADAPTERS if adapters else {}
    kinds = {"dtype": dtype, "param_dtype": dtype}
    policy = Policy(dataclasses.replace(CONFIG, **kinds, **more))
    ids = jnp.zeros((1, 2), jnp.int32)
    variables = jax.jit(policy.init)(jax.random.key(0), ids, ids, ids + 1)
    if adapters:
        rng = np.random.default_rng(0)
        moved = jax.tree.map(
            lambda x: x + rng.normal(0, 0.1, x.shape).astype(np.float32),
            variables["lora"],
        )
        variables = variables | {"lora": moved}
    assert jax.tree.leaves(empty_cache(policy.config, 1, 1))[0].dtype == dtype
    engine = Engine(policy, variables, (STOP,), slots=4, longest=32, buckets=(24,))
    answers = engine.run(requests(16))
    whole = np.zeros((16, 32), np.int32)
    said = np.zeros((16, 32), bool)
    for row, mask, a in zip(whole, said, answers, strict=True):
        start, end = len(a.request.prompt), len(a.request.prompt) + len(a.token)
        row[:end] = [*a.request.prompt, *a.token]
        mask[start:end] = True
    place = jnp.broadcast_to(jnp.arange(32), whole.shape)
    read = jax.jit(lambda v, *x: forward.log_probs(policy, v, x, 1.0)[0])
    learned = np.asarray(read(variables, whole, place, jnp.ones_like(place)))
    sampled = np.concatenate([a.log_prob for a in answers])
    return np.abs(learned[said] - sampled)


@pytest.mark.parametrize("adapters", [False, True])
def test_float32(adapters):
    assert gaps("float32", adapters).max() < 1e-4


@pytest.mark.parametrize("adapters", [False, True])
def test_bfloat16(adapters):
    """The mean; docs/models.md has that of a real model, where rounding adds up."""
    assert gaps("bfloat16", adapters).mean() < 1e-3
