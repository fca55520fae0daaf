"""A whole run on a mesh: rollout, update, evaluation, checkpoint, resume, account."""

import json

import jax
import numpy as np
import pytest

from configs import household
from steppo_jax import ahead, programs, settings, train
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.errors import Refused
from steppo_jax.mesh import Mesh
from steppo_jax.parallel import Devices
from tests import toy

WORDS = "steppo,smoke,iterations=2,env.max_steps=3,learner.microbatch=2,"
WORDS += "learner.minibatches=1,rollout.groups=2,critic.warmup_iterations=0,"
WORDS += "model.positions=rope,model.rope_theta=100,eval.panels=seen,eval.episodes=8"
MESH = "parallel.kind=mesh,parallel.data=2,parallel.fsdp=2,parallel.tensor=2"


def made(devices, words: str) -> programs.Programs:
    """The programs of a config, playing the toy environment."""
    config = household.get_config(f"{WORDS},{words}")
    settings.check(config)
    decoder = programs.decoder_config(config, toy.ENV)
    learner = programs.learner(config, decoder)
    return programs.Programs(config, toy.ENV, devices, learner)


@pytest.fixture(scope="module")
def p():
    return made(Mesh(tuple(jax.devices()), 2, 2, 2), MESH)


def metrics(workdir) -> list[dict]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if not k.startswith("time/")}
        for line in lines
    ]


def test_a_run_on_a_mesh_resumes_exactly_and_moves_to_one_device(p, tmp_path):
    longer = p.config.copy_and_resolve_references()
    longer.iterations = 3
    three = p.at(longer)
    train.learn(three, tmp_path / "whole")
    train.learn(p, tmp_path / "parts")
    train.learn(three, tmp_path / "parts")
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    assert len(metrics(tmp_path / "whole")) == 3
    found, wanted = (train.trained(three, tmp_path / x) for x in ("parts", "whole"))
    kernel = found.policy["params"]["decoder"]["block_0"]["mlp"]["up"]["kernel"]
    assert kernel.addressable_shards[0].data.shape == (8, 16)  # of (16, 32)
    # What was saved by eight devices is read by one, into the same numbers.
    one = made(Devices.local(1), "devices=1")
    folder = Checkpoints(tmp_path / "whole" / "checkpoints", read_only=True)
    moved = folder.restore(3, one.abstract())
    folder.close()
    for a, b, c in zip(*map(jax.tree.leaves, (found, wanted, moved))):
        if not jax.numpy.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)
    assert jax.tree.leaves(moved.policy)[0].sharding.device_set == {jax.devices()[0]}


def test_the_rollout_sends_parameters_and_nothing_else(p):
    account, text = ahead.rollout(p)
    assert account.total > 0
    inside = [line for line in text.splitlines() if " all-gather" in line]
    sent = sum(account.sent.values()) - account.sent["all-reduce"]
    # Weights once over fsdp; tensor's sums stay, one for each product that is cut.
    held = sum(x.size * 4 for x in jax.tree.leaves(p.abstract().policy))
    assert inside and 0 < sent <= held


def test_copies_on_several_devices_are_lowered_too(monkeypatch):
    """Without a mesh: what the local devices would need, as for a run with `pmap`."""
    monkeypatch.setattr(ahead, "_account", lambda p, name, lowered, *_: lowered)
    copies = made(Devices(tuple(jax.devices()[:2])), "parallel.kind=pmap")
    text = ahead.update(copies).as_text()
    assert "num_partitions = 2" in text or "num_replicas = 2" in text


def test_the_account_of_an_update_adds_up(p):
    account, _ = ahead.update(p)
    state = p.devices.bytes_on_one(p.abstract())
    assert state < account.arguments < account.total
    # Gradients are reduced at least once each way.
    assert sum(account.sent.values()) > state / 4
    parts = ahead.parameters(p)
    numbers = sum(x.size for x in jax.tree.leaves(p.abstract().policy))
    assert parts["policy"][0] == numbers and parts["policy"][1] < 4 * numbers
    # By hand: 24 rows of 9 places, critic 6; both networks read and learn once.
    body = 16 * 8 * 2 * (2 + 2) + 3 * 16 * 32
    whole = body + 16 * len(toy.ENV.vocabulary)
    by_hand = 4 * (2 * whole * 9 + 2 * 2 * 8 * 81 + 2 * body * 6 + 2 * 2 * 8 * 36)
    assert account.flops == 24 * by_hand


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("devices=1", "kind='pmap': .*set --config.parallel.kind=mesh"),
        (MESH.replace("data=2", "data=1"), "data=1 .* = 4 devices, 8 are given"),
    ],
)
def test_other_devices_need_a_mesh_of_their_number(words, says):
    config = household.get_config(f"{WORDS},{words}")
    with pytest.raises(Refused, match=says):
        ahead.build(config, tuple(jax.devices()))


def test_weights_that_are_no_shapes_are_refused(p):
    config = p.config.copy_and_resolve_references()
    config.lm.weights = "models/Qwen3-4B"
    with pytest.raises(Refused, match="give shapes:NAME with a name of smollm2_135m"):
        ahead.build(config, tuple(jax.devices()))
