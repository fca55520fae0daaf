"""What cannot fit is refused before it is made, and nothing compiles twice."""

import types

import jax
import pytest

from configs import household
from steppo_jax import memory, programs
from steppo_jax.memory import Estimate, TooLarge


def small(**changes):
    config = household.get_config("grpo,smoke")
    config.devices = changes.pop("devices", 1)
    config.update_from_flattened_dict(changes)
    return programs.build(config)


def test_too_many_parameters_are_refused_without_compiling(monkeypatch):
    monkeypatch.setattr(memory, "estimate", lambda p: pytest.fail("compiled"))
    p = small(**{"model.width": 2**19, "model.mlp_width": 2**19})
    with pytest.raises(
        TooLarge, match=r"states need \d+.* GiB.* are free; lower model"
    ):
        memory.check(p)


def test_programs_that_need_more_than_is_free_are_refused(monkeypatch):
    p = small()
    monkeypatch.setattr(memory, "estimate", lambda p: Estimate(1, 2, 3 * 2**30))
    monkeypatch.setattr(memory, "free", lambda device: 3 * 2**30)
    assert memory.check(p).update == 3 * 2**30
    monkeypatch.setattr(memory, "free", lambda device: 3 * 2**30 - 1)
    with pytest.raises(TooLarge, match=r"update 3.00 GiB, 3.00 GiB are free; lower"):
        memory.check(p)


def test_the_estimate_reads_as_a_line():
    found = str(Estimate(2**29, 2**30, 3 * 2**30))
    assert found == "state 512.00 MiB, rollout 1.00 GiB, update 3.00 GiB"


def test_a_device_that_says_nothing_is_not_asked(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: None)
    assert memory.check(small()) is None


def test_what_is_free(monkeypatch, tmp_path):
    class GPU:
        platform = "gpu"

        def __init__(self, stats):
            self.memory_stats = lambda: stats

    assert memory.free(GPU({"bytes_limit": 10, "bytes_in_use": 4})) == 6
    assert memory.free(GPU(None)) is None
    host = types.SimpleNamespace(available=2**40)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: host)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    cpu = jax.devices("cpu")[0]
    assert memory.free(cpu) == 2**40
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert memory.free(cpu) == 2**40
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory.free(cpu) == 900


def test_copies_on_cpu_devices_share_one_memory():
    assert memory.state_bytes(small(devices=2)) == 2 * memory.state_bytes(small())


@pytest.mark.parametrize("devices", [1, 2])
def test_the_estimate_compiles_what_the_run_uses(devices):
    compiled = []

    def heard(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(duration)

    p = small(devices=devices)
    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        found = memory.estimate(p)
        state = p.devices.replicate(jax.jit(p.learner.init)(jax.random.key(0)))
        before = len(compiled)
        played = p.collect(state)
        state, *_ = p.update(state, played.steps, played.tokens)
        jax.block_until_ready(state)
        assert len(compiled) == before
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    tables = sum(x.nbytes for x in jax.tree.leaves((played.steps, played.tokens)))
    assert found.rollout > found.state + tables and found.update > found.state + tables
