"""Anchor states by similar text, from the tables of a rollout."""

import jax
import numpy as np
import pytest

from configs import household
from steppo_jax import anchors, programs
from steppo_jax.credit.similarity import state_keys


def rolled(devices, **changes):
    fields = "".join(f",{k.replace('__', '.')}={v}" for k, v in changes.items())
    config = household.get_config(
        "gigpo,smoke,rollout.groups=2,warm_start.success=0" + fields
    )
    config.devices = devices
    p = programs.build(config)
    state = p.devices.replicate(p.learner.init(jax.random.key(0)))
    return p, p.collect(state)


def keys_of(devices, threshold=0.9, **changes):
    p, played = rolled(devices, **changes)
    tables = (played.steps, played.tokens)
    steps = anchors.by_similar_text(p.devices, p.env, *tables, threshold)
    assert jax.tree.map(np.shape, steps) == jax.tree.map(np.shape, played.steps)
    return p, *jax.device_get(p.devices.join((steps, played.tokens)))


@pytest.fixture(scope="module")
def found():
    return keys_of(1)


def test_keys_are_those_of_the_english_that_the_prompts_say(found):
    p, steps, tokens = found
    rows = np.flatnonzero(steps.valid)  # trajectory by trajectory, in order of steps
    texts = [p.env.describe(tokens.token[b, : p.env.observation_length]) for b in rows]
    expected = state_keys(texts, steps.group_id[rows].tolist(), 0.9)
    np.testing.assert_array_equal(steps.state_key[rows], expected)
    # Fewer than the distinct texts of a task: some joined another's.
    pairs = set(zip(steps.group_id[rows].tolist(), texts))
    clusters = set(zip(steps.group_id[rows].tolist(), expected.tolist()))
    assert len(clusters) < len(pairs)


class Reader:
    """An environment that remembers which observations it was asked to describe."""

    def __init__(self, env):
        self.env, self.read = env, set()

    def __getattr__(self, name):
        return getattr(self.env, name)

    def describe(self, observation):
        self.read.add(observation.tobytes())
        return self.env.describe(observation)


def test_devices_do_not_change_what_is_read_nor_the_groups(found):
    """Sequences count from 0 on each device: the second one's must be read too."""
    _, one, _ = found
    read = []
    for devices in (1, 2):
        p, played = rolled(devices)
        reader = Reader(p.env)
        tables = (played.steps, played.tokens)
        steps = anchors.by_similar_text(p.devices, reader, *tables, 0.9)
        steps = jax.device_get(p.devices.join(steps))
        np.testing.assert_array_equal(
            one.state_key[one.valid], steps.state_key[steps.valid]
        )
        read.append(reader.read)
    assert read[0] == read[1]


def test_only_the_newest_observation_counts(found):
    """With all earlier turns in the prompt, equal places are still one anchor."""
    _, steps, _ = keys_of(1, context__policy="append")
    # At step 0 all trajectories of a task stand at the same place.
    first = steps.valid & (steps.step_index == 0)
    assert set(steps.state_key[first].tolist()) == {0}
    later = steps.valid & (steps.step_index == 2)
    assert len(set(zip(steps.group_id[later], steps.state_key[later]))) < later.sum()


def test_similar_anchors_reach_the_update(found):
    p, played = rolled(1)
    # So strict that the number of the step tells texts apart, which the
    # environment's own key does not read.
    tables = (played.steps, played.tokens)
    steps = anchors.by_similar_text(p.devices, p.env, *tables, 0.999)
    reward = steps.valid * (steps.step_index + 1.0) * (steps.traj_id % 3)
    seen = []
    for keys in (played.steps.state_key, steps.state_key):
        state = p.learner.init(jax.random.key(0))  # the update consumes it
        given = played.steps.replace(reward=reward, state_key=keys)
        seen.append(p.update(state, given, played.tokens)[2]["advantage"])
    assert not np.allclose(*seen)
