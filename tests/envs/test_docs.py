"""docs/environments.md: its example is an environment, its table the registry's."""

import importlib.util
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import envs, vocabulary
from steppo_jax.actor.rollout import RolloutSettings, rollout
from steppo_jax.warm_start import expert_speaks

DOC = pathlib.Path(__file__).parents[2] / "docs" / "environments.md"


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) < 80
    path = tmp_path_factory.mktemp("docs") / "guess.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("guess", path)
    module = sys.modules["guess"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module.Guess(think_tokens=3)
    del sys.modules["guess"]


def test_the_example_plays_in_the_compiled_rollout(env):
    settings = RolloutSettings(max_steps=env.max_steps, on_time_limit="terminal")
    tasks = jax.tree.map(lambda x: jnp.asarray(x)[:64], env.panel("unseen"))
    ids = jnp.arange(64, dtype=jnp.int32)
    key = jax.random.key(0)
    played = {}
    for noise in (0.0, 1.0):
        speak = expert_speaks(env, noise)
        played[noise] = jax.jit(
            lambda key, speak=speak: rollout(
                speak, env, settings, key, tasks, ids, ids, jnp.int32(0)
            )
        )(key)
    clean = played[0.0].outcome
    assert (clean["success"] == 1).all()  # halving finds 1 of 2048 in 12 guesses
    np.testing.assert_array_equal(clean["return"], 1)
    assert played[1.0].outcome["success"].mean() < 0.2


def test_the_example_keeps_the_protocol(env):
    task = jnp.int32(700)
    state, first = env.reset(jax.random.key(0), task)
    assert env.describe(first) == "start 0 2047"
    state, seen, reward, over = env.step(state, env.parse("hmm hmm ; 699"))
    assert env.describe(seen) == "higher 700 2047" and not reward and not over
    state, seen, _, _ = env.step(state, env.parse("hmm"))
    assert env.describe(seen) == "what 700 2047"
    state, seen, reward, over = env.step(state, env.parse("700"))
    assert env.describe(seen) == "right 700 2047" and reward == 1 and over
    assert env.step(state, env.parse("700"))[2] == 0
    rows = [set(np.asarray(env.panel(name)).tolist()) for name in env.panels]
    assert [len(row) for row in rows] == [512] * 3
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])
    response = env.expert(state, jax.random.key(1))
    assert response.shape == (env.response_length,) and vocabulary.EOS in response


def test_the_table_names_every_environment():
    text = DOC.read_text(encoding="utf-8")
    for name in envs.names():
        assert f"| `{name}` |" in text
