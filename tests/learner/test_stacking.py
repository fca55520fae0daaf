"""An update whose layers are stacked: the same step, and no larger for more layers."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from steppo_jax import placement
from steppo_jax.mesh import Mesh
from steppo_jax.models import stacking
from steppo_jax.models.heads import Critic, Policy
from steppo_jax.parallel import ONE, Devices
from tests import toy
from tests.learner import layouts

ENV = layouts.environment()


def deep(the, scan: bool, layers: int, dtype: str):
    """The learner with networks of several layers."""
    config = layouts.decoder(ENV, dtype)
    config = dataclasses.replace(config, layers=layers, scan_layers=scan)
    return dataclasses.replace(the, policy=Policy(config), critic=Critic(config))


def with_sgd(scan: bool, layers: int):
    the = layouts.learner("steppo", ENV, "float64", minibatches=1)
    return deep(the, scan, layers, "float64")


def with_adam(scan: bool, layers: int):
    return deep(toy.learner("steppo"), scan, layers, "float32")


def test_the_step_is_that_of_layers_one_by_one():
    rolled = layouts.played(ENV)
    with jax.enable_x64(True):
        wide = layouts.doubled(rolled)
        state = layouts.doubled(with_sgd(False, 3).init(jax.random.key(3)))

        def moved(scan, devices):
            program = devices.compile(with_sgd(scan, 3).update, donate=(0,))
            tables = devices.split((wide.steps, wide.tokens))
            after, *_ = program(devices.replicate(state), *tables)
            return layouts.step_of(state, devices.first(after))

        wanted = moved(False, Devices.local(1))
        mesh = Mesh(tuple(jax.devices()), 1, 4, 2)
        assert layouts.apart(moved(True, mesh), wanted) < 1e-12


def test_the_optimizer_does_not_grow_with_the_layers():
    rolled = jax.eval_shape(lambda: layouts.played(ENV))

    def roots(scan: bool, layers: int) -> int:
        """Square roots of arrays in an update: AdamW's, and the norms' of a layer."""
        the = with_adam(scan, layers)
        state = jax.eval_shape(the.init, jax.random.key(0))
        update = jax.make_jaxpr(lambda *x: the.update(ONE, *x))
        return str(update(state, rolled.steps, rolled.tokens)).count(" sqrt ")

    assert roots(True, 4) == roots(True, 2) > 0
    assert roots(False, 4) > roots(False, 2)


def test_layers_come_back_as_they_were():
    state = with_adam(True, 3).init(jax.random.key(0))
    for tree in (state.policy, state.critic_opt):
        stacked = stacking.stacked(tree)
        there = jax.tree.leaves(stacked), jax.tree.leaves(tree)
        assert len(there[0]) < len(there[1])
        back = stacking.layered(stacked)
        assert jax.tree.structure(back) == jax.tree.structure(tree)
        jax.tree.map(np.testing.assert_array_equal, back, tree)


@pytest.mark.parametrize("layers", [(), ("layers",)])
def test_stacked_parameters_are_cut_as_those_of_a_layer(layers):
    sizes, lead = {"data": 1, "fsdp": 4, "tensor": 2}, len(layers)
    words = ("params", "decoder", *layers, "mlp", "down", "kernel")
    found = placement.of_leaf(words, (3,) * lead + (64, 32), sizes)
    assert found == P(*(None,) * lead, "tensor", "fsdp")
