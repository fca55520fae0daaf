"""What is said of programs compiled for devices that are not here."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import paper_scale
from steppo_jax import ahead, mesh, settings
from steppo_jax.chips import Chip
from steppo_jax.errors import Refused


def test_a_libtpu_that_this_jax_cannot_read_is_named():
    class Compiled:
        def as_text(self):
            raise jax.errors.JaxRuntimeError("INTERNAL: RET_CHECK failure")

    with pytest.raises(Refused, match=rf"pip install 'jax\[tpu\]=={jax.__version__}'"):
        ahead._text(Compiled())


def test_seconds_of_flops_and_of_links_by_hand():
    chip = Chip(gib=1, tflops=100, gigabits=16)
    assert chip.seconds(flops=2e14, sent=6e9) == (2.0, 3.0)


SMALL = "smollm2_135m,model.layers=1,model.width=24,model.mlp_width=32,lm.slots=4,"
SMALL += "lm.max_prompt=24,lm.max_new=8,model.attention=blocks,model.dtype=float32,"
SMALL += "rollout.groups=2,env.max_steps=2,"


def test_the_engine_of_a_language_model_is_compiled_from_shapes():
    config = paper_scale.get_config(SMALL + "parallel.fsdp=2,parallel.tensor=1")
    settings.check(config)
    p = ahead.build(config, tuple(jax.devices()[:2]))
    read, said = ahead.engine(p)
    assert (read.name, said.name) == ("prefill", "decode")
    state = p.devices.bytes_on_one(jax.eval_shape(p.learner.init, jax.random.key(0)))
    weights = 4 * ahead.parameters(p)["policy"][0]  # whole on each: over fsdp only
    cache = 2 * 2 * 32 * 3 * 64 * 4  # k and v, slots, places, heads, channels
    logits = 2 * 49152 * 4
    for account in (read, said):
        rest = account.arguments - state - weights - cache
        assert logits < rest < logits + 1024  # lengths, limits and keys
        assert sum(account.sent.values()) < 64  # a key: no weight, no cache


def test_an_engine_without_a_mesh_is_that_of_one_device():
    alone = "parallel.kind=pmap,parallel.data=None,parallel.fsdp=None,"
    config = paper_scale.get_config(SMALL + alone + "parallel.tensor=None,devices=1")
    settings.check(config)
    read, _ = ahead.engine(ahead.build(config, None))
    assert read.arguments > 4 * 49152 * 4  # the logits of four slots


def test_chips_that_an_engine_cannot_share_are_refused(monkeypatch):
    config = paper_scale.get_config(SMALL + "parallel.fsdp=2,parallel.tensor=1")
    p = ahead.build(config, tuple(jax.devices()[:2]))

    def no(mesh, slots):
        raise ValueError("parallel.tensor=8: does not divide the 4 devices")

    monkeypatch.setattr(ahead.spread, "slots_here", no)
    with pytest.raises(Refused, match=r"config.parallel.tensor=8: .* or --norollout"):
        ahead.engine(p)


@dataclasses.dataclass(frozen=True)
class Device:
    id: int
    process_index: int


@pytest.mark.parametrize(
    ("tensor", "moved"),
    [(1, False), (2, False), (4, True), (8, False)],  # of four chips a host
)
def test_chips_along_tensor_are_of_one_host_where_they_can_be(tensor, moved):
    """Hosts have chips 0 1 4 5, 2 3 6 7, …: squares of a plane four wide."""
    hosts = {n: 2 * (n // 8) + (n % 4) // 2 for n in range(16)}
    given = np.empty((1, 16 // tensor, tensor), dtype=object)
    flat = [Device(4 * (n % 4) + n // 4, 0) for n in range(16)]  # down the columns
    for place, chip in zip(np.ndindex(given.shape), flat, strict=True):
        given[place] = dataclasses.replace(chip, process_index=hosts[chip.id])
    found = mesh.with_tensor_inside(given)
    assert (found is not given) == moved
    assert {*found.ravel()} == {*given.ravel()}
    if moved:
        for row in found.reshape(-1, tensor):
            assert len({chip.process_index for chip in row}) == 1
