"""The engine on a mesh says what it says on one device, and sends no caches."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from steppo_jax import hlo
from steppo_jax.benchmarks.compiled import watched
from steppo_jax.engine import Engine, EngineError, Sampling
from steppo_jax.mesh import Mesh
from steppo_jax.models.heads import Policy
from tests.engine.test_engine import CONFIG, STOP, requests, same

WIDE = dataclasses.replace(CONFIG, vocabulary=24, qkv_bias=True)  # tensor cuts it
SIZES = [(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 2)]
HOW = [Sampling(), Sampling(temperature=0), Sampling(top_k=5, top_p=0.9)]


def engine(params, config=WIDE, **options):
    options = {"slots": 4, "longest": 32, "buckets": (4, 8, 16), "steps": 4} | options
    return Engine(Policy(config), params, (STOP,), **options)


def asked():
    return [
        dataclasses.replace(r, sampling=HOW[i % 3]) for i, r in enumerate(requests(9))
    ]


def drawn(config=WIDE):
    ids = jnp.zeros((1, 2), jnp.int32)
    return Policy(config).init(jax.random.key(0), ids, ids, ids + 1)


@pytest.fixture(scope="module")
def params():
    return drawn()


@pytest.fixture(scope="module")
def answers(params):
    return engine(params).run(asked())


def meshed(sizes):
    count = sizes[0] * sizes[1] * sizes[2]
    return Mesh(tuple(jax.devices()[:count]), *sizes)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_what_is_said_is_that_of_one_device(sizes, params, answers):
    mesh = meshed(sizes)
    ours = engine(None, mesh=mesh, reach=8)
    ours.refresh(mesh.replicate(params), 0)
    same(ours.run(asked()), answers)
    with watched() as compiled:
        ours.refresh(mesh.replicate(params), 1)
        found = ours.run(asked())
    same(found, answers)
    assert compiled == [], "the second rollout compiles nothing"
    # A prompt that goes on is read from where its slot's cache ends.
    last = found[-1]
    longer = (*last.request.prompt, *last.token.tolist(), 7)
    more = dataclasses.replace(last.request, prompt=longer, max_new=3)
    again = ours.run([more])
    assert ours.reused >= len(longer) - 2
    same(again, engine(params).run([more]))
    # Slots over the pieces, heads over tensor; weights whole but for tensor.
    k = ours._device.cache[0][0]
    assert k.addressable_shards[0].data.shape[:2] == (4 // mesh.count, 2 // sizes[2])
    up = ours._params["params"]["decoder"]["block_0"]["mlp"]["up"]["kernel"]
    assert up.addressable_shards[0].data.shape == (16, 24 // sizes[2])


def test_decoding_and_reading_send_nothing_of_the_caches(params):
    """Of the pieces none needs what another one holds; only tensor adds up."""
    mesh = meshed((2, 2, 1))
    ours = engine(None, mesh=mesh)
    ours.refresh(mesh.replicate(params), 0)
    (request,) = requests(1)
    texts = []

    def lowering(name):
        program = getattr(ours._programs, name)

        def keep(*args):
            with jax.set_mesh(ours._programs._mesh.mesh):
                texts.append(program.lower(*args).compile().as_text())
            return program(*args)

        ours._programs.__dict__[name] = keep

    lowering("_prefill"), lowering("_decode")
    ours.run([request])
    assert len(texts) >= 2
    for text in texts:
        assert sum(hlo.collectives(text, 1).values()) == 0, text


def test_slots_and_heads_that_do_not_divide_are_refused(params):
    with pytest.raises(EngineError, match=r"slots=3: 2 pieces .* use a multiple"):
        engine(None, mesh=meshed((2, 1, 1)), slots=3)
    with pytest.raises(EngineError, match=r"kv_heads=2: tensor=4 .* use a divisor"):
        engine(None, mesh=meshed((1, 1, 4)))
    with pytest.raises(EngineError, match="turned on a mesh"):
        engine(None, mesh=meshed((2, 1, 1)), turn=True)
