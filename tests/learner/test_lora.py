"""The learner with adapters: they alone move, over weights that exist once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import masked
from steppo_jax.actor.rollout import RolloutSettings, policy_speaks, rollout
from steppo_jax.learner import forward
from steppo_jax.learner.update import KLSettings
from steppo_jax.models import lora
from steppo_jax.models.heads import Critic, Policy
from steppo_jax.models.merging import merge
from steppo_jax.parallel import Devices
from tests import toy
from tests.learner.test_grid import local_tables, shaken
from tests.learner.test_update import assert_same_step, difference
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
    fresh = the.init(jax.random.key(3))
    adapters = jax.tree.map(lambda x: x + 0.3, fresh.policy["lora"])
    return the.start_from(fresh, fresh.policy | {"lora": adapters})


@pytest.fixture(scope="module")
def rolled():
    return toy.play()


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


@pytest.fixture(scope="module")
def updated(rolled):
    """(learner, state, state after an update, metrics), with a critic and a KL."""
    the = learner(kl=KLSettings("k3", 0.1, "loss"))
    state = started(the)
    after, metrics, _ = toy.update(the, rolled, state)
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


def test_the_reference_is_the_policy_that_the_run_started_from(rolled, updated):
    """KL 0 at the start; after a change, that of the two policies with all weights."""
    the, state, _, metrics = updated
    assert abs(float(metrics["policy/reference_kl"])) < 1e-7
    adapters = jax.tree.map(lambda x: x - 0.2, state.policy["lora"])
    away = state.replace(policy=state.policy | {"lora": adapters})
    _, metrics, _ = toy.update(the, rolled, away)
    tokens = rolled.tokens
    inputs = (tokens.token, tokens.position, tokens.segment)
    now, start = (
        forward.log_probs(Policy(plain), merged, inputs, 1.0)[0]
        for plain, merged in (merge(DECODER, x.policy) for x in (away, state))
    )
    k3 = jnp.exp(start - now) - 1 - (start - now)
    wanted = masked.mean(k3, tokens.response_mask)
    assert wanted > 1e-3
    np.testing.assert_allclose(metrics["policy/reference_kl"], wanted, rtol=1e-4)


def test_without_a_start_the_reference_is_the_base(rolled):
    """Fresh adapters change nothing, so the reference is the base with none."""
    the = learner("grpo", kl=KLSettings("k1", 0.1, "reward"))
    state = the.init(jax.random.key(3))
    assert not any(
        factors["b"].any()
        for block in state.reference["lora"]["decoder"].values()
        for module in block.values()
        for factors in module.values()
    )


@pytest.mark.parametrize("method", ["steppo", "ppo"])
def test_slices_and_devices_do_not_change_the_step(rolled, method):
    the = learner(method, minibatches=1)
    state = started(the)
    whole = learner(method, minibatches=1, microbatch=24)
    expected, *_ = toy.update(whole, rolled, state)
    got, *_ = toy.update(the, rolled, state)
    assert_same_step(the, got, expected, state)
    if method == "steppo":
        devices = Devices.local(2)
        program = devices.compile(the.update)
        tables = local_tables(rolled, devices)
        got, *_ = program(devices.replicate(state), *tables)
        assert_same_step(the, devices.first(got), expected, state)


def test_a_shared_trunk_trains_adapters_and_head(rolled):
    the = learner(critic_coef=0.7)
    state = started(the)
    after, metrics, _ = toy.update(the, rolled, state)
    before = state.policy["params"]
    jax.tree.map(np.testing.assert_array_equal, after.policy["params"], before)
    assert difference(after.policy["lora"], state.policy["lora"]) > 1e-3
    assert difference(after.critic, state.critic) > 1e-3
    assert size(after.policy_opt) == 2 * size(state.policy["lora"]) + 1
    assert np.isfinite(metrics["policy/loss"])


@pytest.mark.parametrize("with_them", [False, True])
def test_sampler_and_learner_agree(with_them):
    the = learner()
    variables = shaken(started(the).policy)
    policy = POLICY if with_them else toy.POLICY
    settings = RolloutSettings(toy.ENV.max_steps, "terminal", 0.8)
    ids = jnp.arange(8, dtype=jnp.int32)
    played = rollout(
        policy_speaks(policy, variables, toy.ENV, settings),
        toy.ENV,
        settings,
        jax.random.key(0),
        ids % toy.NUM_GOALS,
        ids,
        ids,
        jnp.int32(0),
    )
    tokens = played.tokens
    log_prob, _ = forward.policy_tables(policy, variables, tokens, 0.8, 8)
    gap = jnp.abs(log_prob - tokens.behaviour_log_prob)
    assert masked.select(gap, tokens.response_mask).max() < 1e-4
    other = toy.POLICY if with_them else POLICY
    other_log_prob, _ = forward.policy_tables(other, variables, tokens, 0.8, 8)
    assert jnp.abs(other_log_prob - log_prob).max() > 1e-2


def test_the_moves_are_those_of_the_merged_weights_gradient(rolled):
    """With SGD-like direction: the gradient of the learner is that of jax.grad."""
    from steppo_jax.learner import gradients, microbatch
    from steppo_jax.parallel import ONE

    the = learner("grpo", minibatches=1)
    state = started(the)
    tables, *_ = the._prepare(ONE, state, rolled.steps, rolled.tokens)
    order_S, count = microbatch.wanted_first(rolled.tokens.response_mask.any(axis=1))
    got, _ = gradients.of_policy(
        ONE, POLICY, state.policy, tables, order_S, count, the.settings
    )
    assert set(got) == {"lora"}
    plain, merged = merge(DECODER, state.policy)
    full, _ = gradients.of_policy(
        ONE, Policy(plain), merged, tables, order_S, count, the.settings
    )
    block = full["params"]["decoder"]["block_0"]
    found = got["lora"]["decoder"]["block_0"]["mlp"]["up_adapter"]
    factors = state.policy["lora"]["decoder"]["block_0"]["mlp"]["up_adapter"]
    weights = block["mlp"]["up"]["kernel"] * DECODER.lora_scale
    np.testing.assert_allclose(found["a"], weights @ factors["b"].T, atol=1e-5)
    np.testing.assert_allclose(found["b"], factors["a"].T @ weights, atol=1e-5)


def test_split_leaves_a_plain_learner_as_it_was():
    the = toy.learner()
    state = the.init(jax.random.key(3))
    assert the.critic_variables(state.policy, state.critic) == state.critic
    trained, fixed = lora.split(state.policy)
    assert trained is state.policy and fixed == {}
