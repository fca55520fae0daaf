"""A language model on a mesh plays, learns and is saved as on one device.

In this process, which has eight CPU devices; the model is random and tiny, of float32.
"""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from steppo_jax import assembly, memory, placement, records, settings, train
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.settings import ConfigError
from steppo_jax.text.programs import TextPrograms
from steppo_jax.warm_start import CloneSettings
from tests import compiling
from tests.processes.bare import free_port
from tests.text import tiny
from tests.text.pair import config, mesh

SIZES = [(2, 1, 1), (1, 2, 1), (1, 1, 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two key/value heads: `tensor` has something to cut."""
    return tiny.write(tmp_path_factory.mktemp("paired"), kv_heads=2)


@pytest.fixture(scope="module")
def built(folder):
    """sizes of a mesh, or None for one device → programs, compiled once for all."""

    @functools.cache
    def of(sizes):
        made = config(folder, *(mesh(*sizes) if sizes else ("devices=1",)))
        settings.check(made)
        return assembly.build(made)

    return of


def step(p):
    """(rollout, metrics, state after it, state before) of a first iteration."""
    state = p.devices.replicate(p.begin())
    rolled = p.collect(state)
    kept = jax.device_get(state.policy)
    after, found, _ = p.update(state, rolled.steps, rolled.tokens)
    return rolled, jax.device_get(found), after, kept


@pytest.fixture(scope="module")
def alone(built):
    return step(built(None))


def moments(state) -> np.ndarray:
    """Adam's first moments of policy and critic: their gradients, as clipped."""
    leaves = jax.tree_util.tree_leaves_with_path((state.policy_opt, state.critic_opt))
    found = [x for path, x in leaves if "mu" in placement.names(path)]
    assert found
    return np.concatenate([np.asarray(x).ravel() for x in found])


def apart(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_rollout_and_gradient_are_those_of_one_device(sizes, built, alone):
    p, (rolled, _, state, weights) = built(sizes), alone
    found, numbers, after, given = step(p)
    jax.tree.map(np.testing.assert_array_equal, given, weights)
    tokens, wanted = found.tokens, rolled.tokens
    np.testing.assert_array_equal(tokens.token, wanted.token)
    np.testing.assert_array_equal(tokens.step_id, wanted.step_id)
    log_probs = (tokens.behaviour_log_prob, wanted.behaviour_log_prob)
    np.testing.assert_allclose(*log_probs, atol=1e-4)
    assert numbers["policy/sampler_gap_max"] < 1e-4
    assert apart(moments(after), moments(state)) < 1e-5
    # Rows over the pieces of the batch, parameters by their names.
    rows = tokens.token.shape[0]
    assert tokens.token.addressable_shards[0].data.shape[0] == rows // p.devices.count
    kernel = after.critic["params"]["decoder"]["block_0"]["mlp"]["up"]["kernel"]
    cut = (16 // sizes[1], 32 // sizes[2])
    assert kernel.addressable_shards[0].data.shape == cut
    assert (
        after.policy_opt[1][0]
        .mu["params"]["decoder"]["block_0"]["mlp"]["up"]["kernel"]
        .sharding.is_equivalent_to(kernel.sharding, 2)
    )
    assert p.engine._params is None, "the engine lets go of its weights"


def test_weights_are_read_and_copied_into_their_places(built, monkeypatch):
    """No array of the state is ever whole on a device, where it is to be cut."""
    p, whole = built((1, 2, 1)), []
    placed = jax.make_array_from_callback

    def watch(shape, where, part):
        def watched(index):
            value = part(index)
            whole.append(value.shape == shape and not where.is_fully_replicated)
            return value

        return placed(shape, where, watched)

    with monkeypatch.context() as patch:
        patch.setattr(jax, "make_array_from_callback", watch)
        state = p.begin()
    assert whole and not any(whole)
    moved = jax.tree.map(
        lambda x, where: x.sharding == where, state, p.devices.shardings(state)
    )
    assert all(jax.tree.leaves(moved))


def metrics(workdir):
    lines = records.read(workdir / "metrics.jsonl")
    # Log-probs differ in their last bits, and slots are shared otherwise.
    other = ("time/", "rollout/", "policy/sampler_gap")
    return [{k: v for k, v in x.items() if not k.startswith(other)} for x in lines]


def stopped_before(iteration):
    """`collect` that stops a run before an iteration."""
    played = TextPrograms.collect

    def collect(self, state):
        if int(state.iteration) == iteration:
            raise KeyboardInterrupt
        return played(self, state)

    return collect


def test_a_run_moves_to_another_mesh_and_to_one_device(built, tmp_path, monkeypatch):
    calm, cut = tmp_path / "a", tmp_path / "b"
    train.learn(built(None), calm)
    with monkeypatch.context() as patch:
        patch.setattr(TextPrograms, "collect", stopped_before(1))
        with pytest.raises(KeyboardInterrupt):
            train.learn(built((1, 2, 1)), cut)
    counts = compiling.learn(built((2, 1, 1)), cut, accept_changes=True)
    assert counts[2] == counts[1], "nothing compiles after two iterations"
    found, wanted = metrics(cut), metrics(calm)
    assert len(found) == len(wanted) == 4
    for a, b in zip(found, wanted, strict=True):
        assert a.keys() == b.keys()
        for name in b:
            close = pytest.approx(b[name], rel=1e-3, abs=1e-4, nan_ok=True)
            assert a[name] == close, name
    panels = [records.read(x / "eval/unseen.jsonl") for x in (cut, calm)]
    assert panels[0] == panels[1]
    # What two devices have saved is read by one, into the same numbers.
    one, state = built(None), train.trained(built((2, 1, 1)), cut)
    folder = Checkpoints(cut / "checkpoints", read_only=True)
    moved = folder.restore(4, one.abstract())
    folder.close()
    for a, b in zip(*map(jax.tree.leaves, (moved.policy, state.policy)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.sharding.device_set == {jax.devices()[0]}


def said(workdir) -> list:
    """Task and words of the episodes that a run has shown, in their order."""
    files = sorted((workdir / "trajectories").glob("*.jsonl"))
    steps = [step for x in files for e in records.read(x) for step in e["steps"]]
    return [(step["observation"], step["response"]) for step in steps]


@pytest.mark.slow
def test_two_processes_play_and_learn_as_one(built, folder, tmp_path):
    """Each with one device, environments and slots of its own."""
    where = {"STEPPO_COORDINATOR": f"127.0.0.1:{free_port()}", "STEPPO_PROCESSES": "2"}
    command = [sys.executable, "-m", "tests.text.pair", tmp_path / "two", folder]
    given = os.environ | where | {"JAX_PLATFORMS": "cpu"}
    both = [
        subprocess.Popen(
            command,
            cwd=pathlib.Path(__file__).parents[2],
            env=given | {"STEPPO_PROCESS_ID": str(i)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    try:
        told = [one.communicate(timeout=900)[0] for one in both]
    finally:
        for one in both:
            one.kill()
    assert [one.returncode for one in both] == [0, 0], told
    p = built((2, 1, 1))
    shorter = p.config.copy_and_resolve_references()
    shorter.iterations = 2
    train.learn(dataclasses.replace(p, config=shorter), tmp_path / "one")
    two, one = (metrics(tmp_path / x) for x in ("two", "one"))
    assert two == one and len(one) == 2
    panels = [records.read(tmp_path / x / "eval/unseen.jsonl") for x in ("two", "one")]
    assert panels[0] == panels[1] and len(panels[0]) == 6
    assert said(tmp_path / "two") == said(tmp_path / "one") != []
    folders = [tmp_path / x / "checkpoints" for x in ("two", "one")]
    states = [Checkpoints(x, read_only=True) for x in folders]
    found = [x.restore(2, p.abstract()) for x in states]
    for one in states:
        one.close()
    for a, b in zip(*(jax.tree.leaves(x.policy) for x in found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def test_adapters_learn_on_a_mesh(folder):
    lora = ("model.lora_rank=2", "model.lora_alpha=4.0", "model.lora_layers=all")
    made = [config(folder, *lora, *w) for w in (("devices=1",), mesh(1, 2, 1))]
    (rolled, _, state, _), (found, _, after, _) = (
        step(assembly.build(x)) for x in made
    )
    np.testing.assert_array_equal(found.tokens.token, rolled.tokens.token)
    assert apart(moments(after), moments(state)) < 1e-5
    kernel = after.policy["params"]["decoder"]["block_0"]["mlp"]["up"]["kernel"]
    assert kernel.addressable_shards[0].data.shape == (8, 32)


def test_cloning_on_a_mesh_moves_as_on_one_device(built):
    found, small = [], CloneSettings(0.5, 0.0, 1e-2, 2, 1, 1, 1, 2)
    for sizes in (None, (2, 1, 1)):
        p = built(sizes)
        state = p.devices.replicate(p.begin())
        before = jax.device_get(state.policy)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(p), "clone_settings", lambda self: small)
            after = p.clone(state, lambda params: 1.0, lambda *_: None)
        moves = jax.tree.map(lambda a, b: np.asarray(a) - b, after, before)
        found.append(np.concatenate([x.ravel() for x in jax.tree.leaves(moves)]))
    # Adam's first step has one size, so signs where the gradient is 0 may differ.
    assert np.abs(found[1] - found[0]).mean() < 1e-2 * np.abs(found[0]).mean()


def test_a_rollout_of_old_weights_waits_for_the_update(folder):
    """Two threads with collectives could wait for each other for ever."""
    stale = ("rollout.staleness=1", "objective.behaviour_cap=2.0")
    guards = ("guards.sampler_gap=None", "guards.gap_patience=None")
    p = assembly.build(config(folder, *stale, *guards, *mesh(2, 1, 1)))
    p.look_ahead(None)
    assert p.ahead == []


def test_what_the_engine_holds_is_in_the_estimate(built):
    """By hand: on each device its slots and heads, and the weights but for tensor."""
    p = built((2, 1, 1))
    cache = jax.tree.leaves(p.engine._device)
    here = sum(x.addressable_shards[0].data.nbytes for x in cache)
    fresh = jax.eval_shape(p.learner.init, jax.random.key(0)).policy
    weights = sum(x.size * 4 for x in jax.tree.leaves(fresh))
    assert p.engine_bytes() == here + weights
    # Two CPU devices share one memory.
    assert memory.estimate(p).rollout == memory.state_bytes(p) + 2 * p.engine_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            (*mesh(2, 1, 1), "lm.slots=3"),
            r"lm.slots=3: parallel.data \* parallel.fsdp=2 .* multiple of 2",
        ),
        ((*mesh(1, 1, 4),), r"parallel.tensor=4: does not divide model.heads=2"),
        (
            (*mesh(1, 3, 1), "lm.slots=3"),
            r"parallel.fsdp=3: does not divide model.width",
        ),
        (("devices=2",), r"one device under parallel.kind=pmap; .*kind=mesh .*data=2"),
    ],
)
def test_what_cannot_be_cut_is_refused(folder, words, says):
    with pytest.raises(ConfigError, match=says):
        settings.check(config(folder, *words))
