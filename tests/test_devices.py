"""How many devices a run takes by itself, and what is put onto them."""

import os

import jax
import jax.numpy as jnp
import pytest

from configs import household
from experiments import devices
from steppo_jax import ahead, settings
from steppo_jax.parallel import Devices


@pytest.mark.parametrize(
    ("quota", "count"),
    [("max 100000\n", 8), ("250000 100000\n", 3), ("50000 100000\n", 1), ("?", 8)],
)
def test_a_container_quota_cuts_the_cores(tmp_path, monkeypatch, quota, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert devices.cores(file) == count
    assert devices.cores(tmp_path / "none") == 8


@pytest.mark.parametrize(
    ("words", "most", "count"),
    [
        ("steppo", 1, 1),
        ("steppo", 3, 2),
        ("steppo", 6, 4),
        ("steppo", 32, 8),
        ("steppo,learner.minibatches=4", 32, 16),
        ("steppo,warm_start.episodes=4", 32, 4),
        ("steppo,warm_start.success=0", 32, 8),
        ("steppo,learner.minibatches=16", 32, 4),
        ("steppo,learner.minibatches=3", 8, 1),
    ],
)
def test_the_batch_divides_over_the_devices_chosen(words, most, count):
    config = household.get_config(words)
    assert devices.that_divide(config, most) == count
    if words != "steppo,learner.minibatches=3":  # no number of devices helps that
        config.devices = count
        settings.check(config)


def test_settle_writes_the_number_down(monkeypatch):
    asked = {}
    monkeypatch.setattr(jax.config, "update", asked.__setitem__)
    monkeypatch.setattr(devices, "cores", lambda: 3)
    config = household.get_config()
    devices.settle(config)
    assert config.devices == 2 and asked == {"jax_num_cpu_devices": 2}


@pytest.mark.parametrize(("kind", "whose"), [("splash", "TPU"), ("triton", "GPU")])
def test_a_kernel_of_another_platform_is_refused(monkeypatch, kind, whose):
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    config = household.get_config("steppo,devices=1")
    config.model.attention = kind
    with pytest.raises(settings.ConfigError, match=rf"{whose}'s kernel.* here are cpu"):
        devices.settle(config)


def test_a_topology_is_asked_for_by_its_name(monkeypatch):
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(ahead, "tpu", lambda name: (name,))
    found = devices.of_topology("v5e:2x2", household.get_config("steppo"))
    assert found == ("v5e:2x2",)


def test_a_tpu_is_not_compiled_for_with_the_kernel_of_gpus():
    config = household.get_config("steppo")
    config.model.attention = "triton"
    with pytest.raises(settings.ConfigError, match=r"GPU's kernel.* here are tpu"):
        devices.of_topology("v5e:2x2", config)


def test_more_devices_than_there_are_is_refused(monkeypatch):
    monkeypatch.setattr(jax.config, "update", lambda *_: None)  # the tests have 8
    config = household.get_config("steppo,devices=16")
    with pytest.raises(settings.ConfigError, match="devices=16: only 8 local cpu"):
        devices.settle(config)


@pytest.mark.parametrize("count", [1, 2])
def test_donating_a_replica_leaves_the_original(count):
    mine = {"key": jax.random.key(3), "w": jnp.ones(5)}
    put = Devices.local(count)
    step = put.compile(lambda axis, x: jax.tree.map(jnp.copy, x), donate=(0,))
    theirs = put.replicate(mine)
    step(theirs)
    assert theirs["w"].is_deleted()
    assert jax.random.key_data(mine["key"]).tolist() == [0, 3]
    assert mine["w"].sum() == 5
