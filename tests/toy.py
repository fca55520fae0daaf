"""A tiny environment with prompts of different lengths, and tables built from it."""

from __future__ import annotations

import dataclasses
import typing

import jax
import jax.numpy as jnp

from steppo_jax.actor.rollout import RolloutSettings, policy_speaks, rollout
from steppo_jax.credit import CreditSettings
from steppo_jax.learner.settings import UpdateSettings
from steppo_jax.learner.state import OptimizerSettings
from steppo_jax.learner.update import Learner
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.heads import Critic, Policy, ValueHead
from steppo_jax.objective import ObjectiveSettings
from steppo_jax.parallel import Axis
from steppo_jax.vocabulary import BOS, EOS, PAD, Vocabulary

FIRST = 4  # id of the first word
NUM_GOALS = 3


class State(typing.NamedTuple):
    goal: jax.Array
    tries: jax.Array
    won: jax.Array


@dataclasses.dataclass(frozen=True)
class Toy:
    """Say the goal's word, then EOS. The prompt grows by a word with every try."""

    max_steps: int = 3
    on_time_limit: str = "terminal"

    name: typing.ClassVar[str] = "toy"
    version: typing.ClassVar[str] = "1"
    vocabulary: typing.ClassVar[Vocabulary] = Vocabulary.of(["a", "b", "c", "again"])
    observation_length: typing.ClassVar[int] = 6
    response_length: typing.ClassVar[int] = 3
    panels: typing.ClassVar[tuple[str, ...]] = ("train", "seen", "unseen")

    def sample_task(self, key, panel):
        del panel
        return jax.random.randint(key, (), 0, NUM_GOALS)

    def panel(self, name):
        return jnp.arange(512) % NUM_GOALS

    def golden_steps(self, task):
        return jnp.ones_like(task)

    def reset(self, key, task):
        del key
        state = State(task, jnp.int32(0), jnp.bool_(False))
        return state, self._observe(state)

    def _observe(self, state):
        place = jnp.arange(self.observation_length)
        filler = jnp.where(place < 2 + state.tries, FIRST + NUM_GOALS, PAD)
        words = jnp.where(place == 1, FIRST + state.goal, filler)
        return jnp.where(place == 0, BOS, words).astype(jnp.int32)

    def step(self, state, response):
        said = (response[0] == FIRST + state.goal) & (response[1] == EOS)
        after = State(state.goal, state.tries + 1, state.won | said)
        reward = (said & ~state.won).astype(jnp.float32)
        return after, self._observe(after), reward, said

    def outcome(self, state):
        return {"success": state.won.astype(jnp.float32)}

    def state_key(self, observation):
        return jnp.sum(observation * (1 + jnp.arange(6))).astype(jnp.uint32)

    def expert(self, state, key, noise=0.0):
        wrong = jax.random.bernoulli(key, noise)
        goal = jnp.where(wrong, (state.goal + 1) % NUM_GOALS, state.goal)
        return jnp.array([FIRST, EOS, PAD], jnp.int32).at[0].add(goal)

    def describe(self, observation):
        return self.vocabulary.decode(observation)

    def parse(self, text):
        return jnp.asarray(self.vocabulary.encode(text, self.response_length))

    def render(self, state):
        return str(state)


ENV = Toy()
DECODER = DecoderConfig(
    vocabulary=len(ENV.vocabulary),
    width=8,
    layers=1,
    heads=2,
    kv_heads=1,
    head_width=4,
    mlp_width=8,
    positions="learned",
    max_positions=ENV.observation_length + ENV.response_length,
)
POLICY = Policy(DECODER)
GRID = {
    "steppo": dict(estimator="step_gae", normalise="batch", ratio="step"),
    "ppo": dict(estimator="token_gae", normalise="token_batch", ratio="token"),
    "grpo": dict(estimator="grpo", normalise="none", ratio="token"),
}


def params(seed: int = 0):
    """A policy that says many different things."""
    place = jnp.zeros((1, 1), jnp.int32)
    return POLICY.init(jax.random.key(seed), place, place, place + 1)


def play(
    env=ENV,
    ids=range(8),
    *,
    seed: int = 0,
    group_size: int = 4,
    decoding: str = "sampled",
    temperature: float = 1.0,
    policy_params=None,
):
    """A rollout of the toy policy: trajectories `ids`, tasks by group."""
    id_N = jnp.array(list(ids), jnp.int32)
    group_N = id_N // group_size
    task_N = group_N % NUM_GOALS
    settings = RolloutSettings(env.max_steps, env.on_time_limit, temperature, decoding)
    weights = params() if policy_params is None else policy_params
    speak = policy_speaks(POLICY, weights, env, settings)
    key = jax.random.key(seed)
    version = jnp.int32(7)
    return rollout(speak, env, settings, key, task_N, id_N, group_N, version)


def learner(method: str = "steppo", **changes) -> Learner:
    """A learner for rollouts of 8 trajectories."""
    point = GRID[method]
    gae = point["estimator"].endswith("gae")
    credit = (
        CreditSettings(gamma=0.9, lam=0.8)
        if gae
        else CreditSettings(divide_by_std=True)
    )
    settings = dict(
        estimator=point["estimator"],
        credit=credit,
        normalise=point["normalise"],
        objective=ObjectiveSettings(point["ratio"], 0.2, 0.2),
        aggregate="step",
        trajectories=8,
        policy=OptimizerSettings(0.01),
        critic=OptimizerSettings(0.02) if gae else None,
        minibatches=2,
        microbatch=4,
    )
    critic = Critic(DECODER) if gae else None
    if "critic_coef" in changes:
        critic, settings["critic"] = ValueHead(), None
    return Learner(POLICY, critic, UpdateSettings(**(settings | changes)))


def update(the: Learner, rolled, state=None, axis: Axis | None = None):
    """One jitted update on one device."""
    state = the.init(jax.random.key(3)) if state is None else state
    body = jax.jit(lambda *args: the.update(axis or Axis(), *args))
    return body(state, rolled.steps, rolled.tokens)
