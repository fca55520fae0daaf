"""A critic on the policy's trunk: the gradient by hand, and what must not change it.

The gradient by hand is that of the whole table at once, the learner's that of slices.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from steppo_jax import masked
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.learner import forward, shared
from steppo_jax.models.heads import log_prob_and_entropy
from steppo_jax.parallel import ONE, Devices
from steppo_jax.stored_tree import CheckpointMismatch
from tests import toy
from tests.learner.test_grid import local_tables, shaken
from tests.learner.test_update import assert_same_step, difference

METHODS = ("steppo", "ppo")  # a step critic and a token critic
COEF = 0.7


@pytest.fixture(scope="module")
def rolled():
    """Rewards that differ, and a limit that asks for the value of the next state."""
    played = toy.play(dataclasses.replace(toy.ENV, on_time_limit="bootstrap"))
    noise = jax.random.normal(jax.random.key(5), played.steps.reward.shape)
    reward = jnp.where(played.steps.valid, played.steps.reward + 0.3 * noise, 0.0)
    return played.replace(steps=played.steps.replace(reward=reward))


@pytest.fixture(scope="module")
def warming():
    """A learner whose first iteration is critic warm-up, and its update, compiled."""
    the = learner("steppo", critic_warmup=1)
    return the, jax.jit(lambda *args: the.update(ONE, *args))


def learner(method: str, **changes):
    return toy.learner(method, **({"critic_coef": COEF} | changes))


def started(the):
    """A state whose values are not nearly zero."""
    state = the.init(jax.random.key(3))
    return state.replace(critic=jax.tree.map(lambda x: x + 0.2, state.critic))


def hidden(params, tokens):
    x_SLD, _ = toy.POLICY.apply(
        params, tokens.token, tokens.position, tokens.segment, method="hidden"
    )
    return x_SLD


def values(params, head, tokens):
    """[S, L] by the weights themselves."""
    layer = head["params"]["head"]
    return hidden(params, tokens) @ layer["kernel"][:, 0] + layer["bias"][0]


def loss_by_hand(both, the, tables, valid, warm: bool):
    """mean policy loss + coef · mean value loss, over the whole table at once."""
    (params, head), t, s = both, tables, the.settings
    tokens, mask = t.tokens, t.step_id >= 0
    logits = toy.POLICY.apply(params, tokens.token, tokens.position, tokens.segment)[0][
        :, :-1
    ]
    log_prob, _ = log_prob_and_entropy(logits, tokens.token[:, 1:], 1.0)
    ratio = jnp.pad(log_prob, ((0, 0), (1, 0))) - t.old_log_prob
    if s.objective.ratio == "step":  # the geometric mean; here a row is a step
        ratio = masked.select(ratio, mask).sum(1, keepdims=True) / jnp.maximum(
            mask.sum(1, keepdims=True), 1
        )
    rho = jnp.exp(ratio)
    gain = jnp.minimum(rho * t.advantage, jnp.clip(rho, 0.8, 1.2) * t.advantage)
    share = mask / jnp.maximum(mask.sum(1, keepdims=True), 1)
    if s.aggregate == "token":
        acted = -masked.mean(gain, mask)
    else:
        acted = -(share * masked.select(gain, mask)).sum() / mask.any(1).sum()
    trunk = jax.lax.stop_gradient(params) if warm else params
    value_SL = values(trunk, head, tokens)
    if t.per_token:
        before = jnp.pad(value_SL[:, :-1], ((0, 0), (1, 0)))
        squares = masked.select((before - t.target) ** 2, mask)
        valued = 0.5 * (share * squares).sum() / mask.any(1).sum()
    else:
        at = tokens.value_at
        squares = (value_SL[at[:, 0], at[:, 1]] - t.target) ** 2
        valued = 0.5 * masked.mean(squares, valid)
    return (0.0 if warm else acted) + s.critic_coef * valued


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_is_that_of_the_summed_loss(method, learns, rolled):
    aggregate = "token" if method == "ppo" else "step"  # not what the critic counts
    the = learner(method, minibatches=1, microbatch=5, aggregate=aggregate)
    state = started(the)
    both = (state.policy, state.critic)

    @jax.jit
    def ours(both):
        tables, _, seen = the._prepare(ONE, state, rolled.steps, rolled.tokens)
        orders, counts = the._deal(ONE, state, rolled.steps, rolled.tokens)
        rest = (tables, orders[0], counts[0], jnp.bool_(learns), the.settings)
        grads, sums = shared.gradient(ONE, the.policy, the.critic, both, *rest)
        count = sums["critic"].count
        return tables, seen, jax.tree.map(lambda g: g / count, grads)

    # Elsewhere than where the old log-probs are from, so that ratios are not 1.
    away = jax.tree.map(lambda x: 0.3 * x, shaken(both[0]))
    moved = (jax.tree.map(lambda a, b: 0.9 * a + b, both[0], away), both[1])
    tables, seen, got = ours(moved)
    valid = rolled.steps.valid
    want = jax.jit(jax.grad(lambda b: loss_by_hand(b, the, tables, valid, not learns)))(
        moved
    )
    for one, two in zip(got, want):
        if not learns and two is want[0]:
            assert all((x == 0).all() for x in jax.tree.leaves(one))
            continue
        assert difference(one, two) < 1e-5
    # The values behind it were read where they stand, those of the next states too.
    value_SL = values(*both, rolled.tokens)
    at = rolled.tokens.value_at
    if method == "steppo":
        wanted = np.where(rolled.steps.valid, value_SL[at[:, 0], at[:, 1]], 0)
        np.testing.assert_allclose(seen["value"], wanted, atol=1e-5)
        cut = np.asarray(rolled.steps.truncated)
        assert cut.any()
        after = rolled.tokens.next_value_at
        reward = rolled.steps.reward + 0.9 * value_SL[after[:, 0], after[:, 1]]
        np.testing.assert_allclose(
            np.asarray(tables.target)[cut], np.asarray(reward)[cut], atol=1e-5
        )


def test_the_step_is_that_of_one_optimizer(rolled):
    """AdamW over policy and head at once, clipped by the norm of both."""
    the = learner("steppo", minibatches=1)
    state = started(the)
    got, metrics, _ = toy.update(the, rolled, state)
    both = (state.policy, state.critic)

    @jax.jit
    def by_hand(both):
        tables, *_ = the._prepare(ONE, state, rolled.steps, rolled.tokens)
        orders, counts = the._deal(ONE, state, rolled.steps, rolled.tokens)
        rest = (tables, orders[0], counts[0], jnp.bool_(True), the.settings)
        grads, sums = shared.gradient(ONE, the.policy, the.critic, both, *rest)
        grads = jax.tree.map(lambda g: g / sums["critic"].count, grads)
        optimizer = the.settings.policy.make()
        change, _ = optimizer.update(grads, optimizer.init(both), both)
        return optax.apply_updates(both, change), optax.tree.norm(grads)

    want, norm = by_hand(both)
    assert difference((got.policy, got.critic), want) < 1e-6
    parts = [metrics[f"{x}/grad_norm"] for x in ("policy", "critic")]
    np.testing.assert_allclose(np.hypot(*parts), norm, rtol=1e-5)
    assert int(got.num_updates) == 1


def test_eight_devices_are_one():
    the = learner("steppo", minibatches=1)
    state = started(the)
    rolled = toy.play()
    expected, *_ = toy.update(the, rolled, state)
    devices = Devices.local(8)
    program = devices.compile(the.update)
    got, *_ = program(devices.replicate(state), *local_tables(rolled, devices))
    assert_same_step(the, devices.first(got), expected, state)


def test_warm_up_moves_the_head_alone_and_leaves_the_policy_fresh(rolled, warming):
    the, body = warming
    state = the.init(jax.random.key(3))
    one, metrics, _ = body(state, rolled.steps, rolled.tokens)
    for name in ("policy", "policy_opt"):
        jax.tree.map(
            np.testing.assert_array_equal, getattr(one, name), getattr(state, name)
        )
    assert difference(one.critic, state.critic) > 1e-3
    assert int(one.num_updates) == 0 and metrics["policy/grad_norm"] == 0
    two, *_ = body(one, rolled.steps, rolled.tokens)
    assert difference(two.policy, one.policy) > 1e-3 and int(two.num_updates) == 2


def test_a_warm_started_policy_keeps_the_head_as_it_was_made():
    the = learner("steppo")
    fresh = the.init(jax.random.key(3))
    state = the.start_from(fresh, toy.params(8))
    jax.tree.map(np.testing.assert_array_equal, state.critic, fresh.critic)
    assert difference(state.policy, toy.params(8)) == 0
    assert set(state.critic["params"]) == {"head"}


def test_a_checkpoint_goes_on_as_if_nothing_had_happened(rolled, warming, tmp_path):
    the, body = warming
    state = the.init(jax.random.key(3))
    one, *_ = body(state, rolled.steps, rolled.tokens)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, one)
    checkpoints.wait()
    _, again = checkpoints.restore_latest(state)
    two, three = (body(x, rolled.steps, rolled.tokens)[0] for x in (one, again))
    assert difference((two.policy, two.critic), (three.policy, three.critic)) == 0
    other = toy.learner("steppo").init(jax.random.key(3))
    with pytest.raises(CheckpointMismatch, match="decoder"):
        checkpoints.restore_latest(other)
    checkpoints.close()


def test_values_come_with_the_log_probs_of_the_policy_alone(rolled):
    """The pass that reads values says of tokens what the pass without them says."""
    the = learner("steppo")
    state = started(the)
    inputs = tuple(x[:4] for x in forward.inputs(rolled.tokens))
    alone = forward.log_probs(toy.POLICY, state.policy, inputs, 1.0)
    both = (state.policy, state.critic)
    found = forward.log_probs_and_values(toy.POLICY, the.critic, both, inputs, 1.0)
    for one, two in zip(alone, found):
        np.testing.assert_allclose(one, two, atol=1e-6)
