"""The learner with adapters: they alone move, over weights that exist once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import masked
from steppo_jax.actor.rollout import RolloutSettings, policy_speaks, rollout
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.learner import forward, gradients, microbatch
from steppo_jax.learner.settings import KLSettings
from steppo_jax.models import lora
from steppo_jax.models.heads import Critic, Policy
from steppo_jax.models.merging import merge
from steppo_jax.parallel import ONE
from tests import toy
from tests.learner.test_update import difference
from tests.models.test_lora import with_adapters

DECODER = with_adapters(toy.DECODER, rank=2)
POLICY = Policy(DECODER)


def learner(method="steppo", **changes):
    the = toy.learner(method, **changes)
    own = isinstance(the.critic, Critic)
    critic = Critic(DECODER) if own else the.critic
    return dataclasses.replace(the, policy=POLICY, critic=critic)


def started(the):
    """A state whose policy and critic have adapters away from zero."""
    fresh = jax.jit(the.init)(jax.random.key(3))
    rng = np.random.default_rng(0)
    adapters = jax.tree.map(
        lambda x: x + rng.normal(0, 0.3, x.shape).astype(np.float32),
        fresh.policy["lora"],
    )
    return the.start_from(fresh, fresh.policy | {"lora": adapters})


@pytest.fixture(scope="module")
def rolled():
    return toy.play()


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


@pytest.fixture(scope="module")
def compiled():
    """A learner with a critic and a KL, and its update."""
    the = learner(kl=KLSettings("k3", 0.1, "loss"))
    return the, jax.jit(lambda *args: the.update(ONE, *args))


@pytest.fixture(scope="module")
def updated(rolled, compiled):
    """(learner, state, state after an update, metrics)."""
    the, update = compiled
    state = started(the)
    after, metrics, _ = update(state, rolled.steps, rolled.tokens)
    return the, state, after, metrics


def test_the_state_holds_the_fixed_weights_once(updated):
    _, state, _, _ = updated
    assert set(state.policy) == {"params", "lora"}
    assert set(state.critic["params"]) == {"head"} and "lora" in state.critic
    assert set(state.reference) == {"lora"}
    trained = size(state.policy["lora"])
    # Adam: two moments and a counter of what is trained, nothing of the rest.
    assert size(state.policy_opt) == 2 * trained + 1
    assert size(state.critic_opt) == 2 * size(state.critic) + 1


def test_only_adapters_and_the_value_head_move(updated):
    _, state, after, metrics = updated
    before = state.policy["params"]
    jax.tree.map(np.testing.assert_array_equal, after.policy["params"], before)
    assert difference(after.policy["lora"], state.policy["lora"]) > 1e-3
    assert difference(after.critic["lora"], state.critic["lora"]) > 1e-4
    head = after.critic["params"]["head"]
    assert difference(head, state.critic["params"]["head"]) > 1e-3
    jax.tree.map(np.testing.assert_array_equal, after.reference, state.reference)
    assert int(after.num_updates) == 2
    assert metrics["policy/grad_norm"] > 0 and metrics["critic/grad_norm"] > 0


def test_a_critic_starts_as_the_policys_decoder_with_its_adapters(updated):
    the, state, _, _ = updated
    variables = the.critic_variables(state.policy, state.critic)
    token = jnp.array([[1, 5, 3]], jnp.int32)
    place = jnp.arange(3)[None]
    inputs = (token, place, token * 0 + 1)
    hidden_SLD, _ = POLICY.apply(state.policy, *inputs, method="hidden")
    head = state.critic["params"]["head"]
    wanted = hidden_SLD @ head["kernel"][:, 0] + head["bias"][0]
    value = the.critic.apply(variables, *inputs)
    np.testing.assert_allclose(value, wanted, atol=1e-6)


def test_the_reference_is_the_policy_that_the_run_started_from(
    rolled, updated, compiled
):
    """KL 0 at the start; after a change, that of the two policies with all weights."""
    _, state, _, metrics = updated
    assert abs(float(metrics["policy/reference_kl"])) < 1e-7
    adapters = jax.tree.map(lambda x: x - 0.02, state.policy["lora"])
    away = state.replace(policy=state.policy | {"lora": adapters})
    _, metrics, _ = compiled[1](away, rolled.steps, rolled.tokens)
    tokens = rolled.tokens
    inputs = (tokens.token, tokens.position, tokens.segment)
    read = jax.jit(lambda p: forward.log_probs(toy.POLICY, p, inputs, 1.0)[0])
    now, start = (read(merge(DECODER, x.policy)[1]) for x in (away, state))
    k3 = jnp.exp(start - now) - 1 - (start - now)
    wanted = masked.mean(k3, tokens.response_mask)
    assert wanted > 1e-4
    np.testing.assert_allclose(metrics["policy/reference_kl"], wanted, rtol=1e-4)


def test_without_a_start_the_reference_is_the_base():
    """Fresh adapters change nothing, so the reference is the base with none."""
    the = learner("grpo", kl=KLSettings("k1", 0.1, "reward"))
    state = jax.jit(the.init)(jax.random.key(3))
    assert not any(
        factors["b"].any()
        for block in state.reference["lora"]["decoder"].values()
        for module in block.values()
        for factors in module.values()
    )


def test_a_checkpoint_goes_on_bit_for_bit(rolled, updated, compiled, tmp_path):
    _, _, after, _ = updated
    folder = Checkpoints(tmp_path)
    folder.save(1, after)
    folder.wait()
    restored = folder.restore(1, after)
    folder.close()
    update = compiled[1]
    one, two = (
        update(state, rolled.steps, rolled.tokens)[0] for state in (after, restored)
    )
    for a, b in zip(*(jax.tree.leaves(x.replace(key=0)) for x in (one, two))):
        np.testing.assert_array_equal(a, b)
    assert difference(one.policy["lora"], after.policy["lora"]) > 1e-3


def test_a_shared_trunk_trains_adapters_and_head(rolled):
    """As shapes: what is differentiated and what the optimizer holds."""
    the = learner(critic_coef=0.7)
    state = jax.eval_shape(the.init, jax.random.key(3))
    after, *_ = jax.eval_shape(
        lambda *args: the.update(ONE, *args), state, rolled.steps, rolled.tokens
    )
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert set(state.policy) == {"params", "lora"}
    assert set(state.critic["params"]) == {"head"} and "lora" not in state.critic
    assert size(after.policy_opt) == 2 * size(state.policy["lora"]) + 1
    assert size(after.critic_opt) == 2 * size(state.critic) + 1


def test_sampler_and_learner_agree(updated):
    _, state, _, _ = updated
    settings = RolloutSettings(toy.ENV.max_steps, "terminal", 0.8)
    ids = jnp.arange(8, dtype=jnp.int32)

    @jax.jit
    def both(variables):
        speak = policy_speaks(POLICY, variables, toy.ENV, settings)
        start = (jax.random.key(0), ids % toy.NUM_GOALS, ids, ids, jnp.int32(0))
        tokens = rollout(speak, toy.ENV, settings, *start).tokens
        learned = [
            forward.policy_tables(policy, variables, tokens, 0.8, 8)[0]
            for policy in (POLICY, toy.POLICY)
        ]
        return tokens, *learned

    tokens, with_them, without = both(state.policy)
    mask = tokens.response_mask
    gap = masked.select(jnp.abs(with_them - tokens.behaviour_log_prob), mask)
    assert gap.max() < 1e-4
    assert jnp.abs(with_them - without).max() > 1e-2


def test_the_learners_gradient_is_that_of_the_merged_weights(rolled):
    """By the chain rule, in one layer; all layers in tests/models/test_lora.py."""
    the = learner("grpo", minibatches=1)
    state = started(the)
    plain, merged = merge(DECODER, state.policy)

    @jax.jit
    def both(variables, merged):
        now = state.replace(policy=variables)
        tables, *_ = the._prepare(ONE, now, rolled.steps, rolled.tokens)
        wanted_S = rolled.tokens.response_mask.any(axis=1)
        walk = (tables, *microbatch.wanted_first(wanted_S), the.settings)
        got, _ = gradients.of_policy(ONE, POLICY, variables, *walk)
        full, _ = gradients.of_policy(ONE, Policy(plain), merged, *walk)
        return got, full

    got, full = both(state.policy, merged)
    assert set(got) == {"lora"}
    block = full["params"]["decoder"]["block_0"]
    found = got["lora"]["decoder"]["block_0"]["mlp"]["up_adapter"]
    factors = state.policy["lora"]["decoder"]["block_0"]["mlp"]["up_adapter"]
    weights = block["mlp"]["up"]["kernel"] * DECODER.lora_scale
    assert jnp.abs(weights).max() > 1e-2
    np.testing.assert_allclose(found["a"], weights @ factors["b"].T, atol=1e-5)
    np.testing.assert_allclose(found["b"], factors["a"].T @ weights, atol=1e-5)


def test_split_leaves_a_plain_learner_as_it_was():
    the = toy.learner()
    state = jax.eval_shape(the.init, jax.random.key(3))
    assert the.critic_variables(state.policy, state.critic) == state.critic
    trained, fixed = lora.split(state.policy)
    assert trained is state.policy and fixed == {}
