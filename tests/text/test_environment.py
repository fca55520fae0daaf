"""An on-device environment is the same world through text."""

import jax
import numpy as np
import pytest

from steppo_jax import envs
from steppo_jax.actor.rollout import RolloutSettings, rollout
from steppo_jax.text.environment import OnDevice, state_key
from steppo_jax.text.evaluator import jobs_of
from steppo_jax.warm_start import expert_speaks

ENV = envs.make("household", max_steps=6, think_tokens=2)
N = 4


def test_the_same_keys_give_the_same_episodes_on_both_paths():
    """The noisy expert speaks in the compiled rollout; its words are said in text."""
    key, id_N = jax.random.key(3), np.arange(N, dtype=np.int32)
    task_N = jax.vmap(lambda k: ENV.sample_task(k, "train"))(jax.random.split(key, N))
    settings = RolloutSettings(max_steps=6, on_time_limit="terminal")
    speak = expert_speaks(ENV, 0.3)
    played = jax.jit(
        lambda: rollout(speak, ENV, settings, key, task_N, id_N, id_N, np.int32(0))
    )()
    steps, tokens = jax.tree.map(np.asarray, (played.steps, played.tokens))
    for n, job in enumerate(jobs_of(task_N, id_N, id_N, key, 6)):
        env = OnDevice(ENV)
        observation, info = env.reset(options=job.options)
        rows = np.flatnonzero(steps.valid & (steps.traj_id == n))
        for row in rows:
            assert state_key(observation, info) == steps.state_key[row]
            prompt = tokens.token[row, : ENV.observation_length]
            prompt = np.where(tokens.step_id[row, : len(prompt)] < 0, prompt, 0)
            assert observation == ENV.describe(prompt)
            said = tokens.token[row][tokens.step_id[row] == row]
            text = ENV.vocabulary.decode(said).removesuffix("<eos>")
            observation, reward, terminated, truncated, info = env.step(text)
            assert reward == steps.reward[row]
            assert terminated == steps.terminated[row]
            assert not truncated
        outcome = {k: v[n] for k, v in played.outcome.items() if k in info["outcome"]}
        assert info["outcome"] == outcome and "success" in outcome


def test_thoughts_are_free_and_only_the_last_part_acts():
    task = jax.tree.map(lambda x: x[0], ENV.panel("train"))
    for said, malformed in (
        ("go to desk 1", False),
        ("I wonder, what? ; and then; GO to  desk 1", False),
        ("go to desk 1 ; I think", True),
        ("", True),
        ("<eos> go to desk 1", True),
    ):
        env = OnDevice(ENV)
        env.reset(options={"task": task})
        observation, reward, *_ = env.step(said)
        assert ("not recognised" in observation) == malformed, (said, observation)
        assert reward == 0


def test_the_expert_solves_the_task_in_words():
    task = jax.tree.map(lambda x: x[0], ENV.panel("seen"))
    env = OnDevice(envs.make("household", max_steps=20, think_tokens=2))
    env.reset(options={"task": task})
    for t in range(20):
        said = env.expert(jax.random.key(t), 0.0)
        assert "<" not in said
        _, reward, over, _, info = env.step(said)
        if over:
            break
    assert reward == 1 and info["outcome"]["success"] == 1


def test_without_a_task_it_does_not_start():
    with pytest.raises(ValueError, match="options\\['task'\\]"):
        OnDevice(ENV).reset(seed=1)
