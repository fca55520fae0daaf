"""One update on 1, 2, 4 and 8 devices, under both wrappers: the same gradient."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from steppo_jax import placement
from steppo_jax.mesh import Mesh
from steppo_jax.parallel import Devices
from tests.learner import layouts

# Sizes of (data, fsdp, tensor), or a number of pmap's devices; and another layout.
CASES = [
    (2, None),
    (8, None),
    ((4, 1, 1), None),
    ((1, 4, 2), None),
    ((2, 2, 2), "packed"),
]


@pytest.fixture(scope="module")
def env():
    return layouts.environment(on_time_limit="bootstrap")


@pytest.fixture(scope="module")
def rolled(env):
    return layouts.played(env)


def learner(env, dtype: str, **changes):
    return layouts.learner("steppo", env, dtype, minibatches=1, **changes)


def start(the):
    return layouts.doubled(the.init(jax.random.key(3)))


@pytest.fixture(scope="module")
def wanted(env, rolled):
    """The step of one device, all sequences in one slice."""
    with jax.enable_x64(True):
        the = learner(env, "float64", microbatch=24)
        devices, state = Devices.local(1), start(the)
        wide = layouts.doubled(rolled)
        after, *_ = devices.compile(the.update)(state, wide.steps, wide.tokens)
        return layouts.step_of(state, after)


def shared_out(tokens, count: int):
    """The table as `count` devices hold it: each numbers its sequences from 0."""
    B, S = tokens.value_at.shape[0], tokens.token.shape[0]
    each, extra = B // count, (S - B) // count
    rows = jnp.arange(B).reshape(count, each)
    beyond = B + jnp.arange(S - B).reshape(count, extra)
    order = jnp.concatenate([rows, beyond], axis=1).ravel()
    at = jnp.argsort(order)

    def local(at_B2):
        moved = at[jnp.maximum(at_B2[:, 0], 0)] % (each + extra)
        sequence = jnp.where(at_B2[:, 0] < 0, -1, moved).astype(jnp.int32)
        return at_B2.at[:, 0].set(sequence)

    tables = {
        name: getattr(tokens, name)[order]
        for name in ("token", "position", "segment", "behaviour_log_prob")
    }
    step = jnp.where(tokens.step_id < 0, -1, tokens.step_id % each)
    return tokens.replace(
        **tables,
        step_id=step[order],
        policy_version=tokens.policy_version[order],
        value_at=local(tokens.value_at),
        next_value_at=local(tokens.next_value_at),
    )


@pytest.mark.parametrize(("sizes", "layout"), CASES, ids=str)
def test_the_gradient_is_that_of_one_device(sizes, layout, env, rolled, wanted):
    with jax.enable_x64(True):
        changes = {"layout": layout, "width": 60} if layout else {}
        wide = layouts.doubled(rolled)
        tokens = wide.tokens
        if isinstance(sizes, int):
            devices = Devices.local(sizes)
            tokens = shared_out(tokens, sizes)
        else:
            total = sizes[0] * sizes[1] * sizes[2]
            devices = Mesh(tuple(jax.devices()[:total]), *sizes)
        slices = 4 * (1 if isinstance(sizes, int) else devices.count)
        the = learner(env, "float64", microbatch=slices, **changes)
        state = start(the)
        program = devices.compile(the.update, donate=(0,))
        tables = devices.split((wide.steps, tokens))
        after, metrics, _ = program(devices.replicate(state), *tables)
        found = layouts.step_of(state, devices.first(after))
        assert layouts.apart(found, wanted) < 1e-12
        steps = devices.first(metrics)["data/steps"]
        assert int(steps) == int(rolled.steps.valid.sum())
        if isinstance(sizes, tuple):
            check_places(after, devices)


def check_places(state, devices):
    """Parameters lie where the table says, and what came out could go in again."""
    kernel = state.policy["params"]["decoder"]["block_0"]["mlp"]["gate"]["kernel"]
    whole, piece = kernel.shape, kernel.addressable_shards[0].data.shape
    assert piece == (whole[0] // devices.fsdp, whole[1] // devices.tensor)
    moved = jax.tree.map(lambda x: x.sharding, state)
    assert moved == devices.shardings(state)


def test_where_a_parameter_lies_follows_from_its_name():
    sizes = {"data": 2, "fsdp": 4, "tensor": 2}

    def of(*words, shape):
        return placement.of_leaf(tuple(words), shape, sizes)

    opt = ("0", "mu", "params", "decoder", "block_3")
    assert of(*opt, "mlp", "down", "kernel", shape=(64, 32)) == P("tensor", "fsdp")
    assert of(*opt, "attention", "key", "kernel", shape=(32, 2, 8)) == P(
        "fsdp", "tensor", None
    )
    assert of(*opt, "mlp_norm", "scale", shape=(32,)) == P()
    # A vocabulary that tensor does not divide stays whole along it.
    embedding = ("params", "decoder", "embedding", "embedding")
    assert of(*embedding, shape=(87, 32)) == P(None, "fsdp")
    assert of("step_id", shape=(16, 9)) == P(("data", "fsdp"))
    assert of("step_id", shape=(12, 9)) == P() == of("count", shape=())


def test_a_mesh_of_another_size_is_refused():
    with pytest.raises(ValueError, match="= 4 devices, 2 are given"):
        Mesh(tuple(jax.devices()[:2]), 2, 2, 1)
    with pytest.raises(ValueError, match="only 8 local cpu devices; lower"):
        Mesh.local(4, 4, 1)
