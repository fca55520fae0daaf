"""What the rollout, warm start, panels and reports rely on, for every environment.

A new environment joins by an entry in CASES; a registered one without an entry
fails `test_every_environment_is_tested`.
"""

import dataclasses
import functools
import hashlib
import typing
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import envs
from steppo_jax.envs.base import TimeLimit
from steppo_jax.vocabulary import EOS, PAD, SPECIAL
from steppo_jax.vocabulary import length as token_length
from tests.envs import (
    household_cases,
    multihop_qa_cases,
    paper_search_cases,
    shop_cases,
)

RESPONSES = 20_480  # of one play; random ones an environment must survive: five times
PLAYS = 5
EPISODES = 1408  # at least


def num_episodes(env):
    """As many as give RESPONSES, for short episodes too."""
    return max(EPISODES, -(-RESPONSES // env.max_steps))


@dataclasses.dataclass(frozen=True)
class Case:
    """What the contract needs to know of one environment."""

    reward_bounds: tuple[float, float]
    # (state, key) → a state that differs in hidden parts only
    hidden_variant: Callable[[Any, jax.Array], Any]
    panel_sha256: tuple[str, ...]  # in the order of the environment's panels
    malformed_ends: bool = False  # whether a response that is no action ends it


CASES = {
    "multihop_qa": Case(
        reward_bounds=(0.0, 1.0),
        hidden_variant=multihop_qa_cases.hidden_variant,
        malformed_ends=True,
        panel_sha256=(
            "ff6e5be1edf3945746b5ce3a5dcd7867c86f26b6a5142b7927ee0440f6fab115",
            "b4a9882a830ec2cc11854a1be4896d06de8bd5e2fe6c8b67de67ed5ba03c5120",
            "98da4f4285268a6808b7ae4e60bd329cc0c94dd9d921573c6c0ed293a2a26638",
            "498ead08835d0516c854848148b8ee74a6cc4e1f03607d89b59a64cd99fef6c6",
            "6d428ff4908a982881da480ce0af1705f81a1b522c2a0409eddec317efacef5e",
        ),
    ),
    "household": Case(
        reward_bounds=(0.0, 1.0),
        hidden_variant=household_cases.hidden_variant,
        panel_sha256=(
            "081abc192942e0c21adf4b56fb469366a6cb5294d79a17c5f9805d59cd722660",
            "cdaf9326bf7842da28d18b019a7db22301936960ce9de8932aebaf01d7e5c1ca",
            "13f0ab9dbbed7f1537390ee3f68a56e3cd62170d56d7fa7d4a6de27d068c6d80",
        ),
    ),
    "paper_search": Case(
        reward_bounds=(-0.5, 3.0),
        hidden_variant=paper_search_cases.hidden_variant,
        malformed_ends=True,
        panel_sha256=(
            "8f93011bb401bb7e651c5d738dd8256391ff358672398325322e58325fdf0836",
            "b1474262bab6a9e6ba347a22d68aa35204c69c0a18eeb87153889fa9945cc19f",
            "f530728bc365860b2cb06153326a0f8117c8c6c840b3b19e73ad1af10b9c1154",
        ),
    ),
    "shop": Case(
        reward_bounds=(-0.1, 10.0),
        hidden_variant=shop_cases.hidden_variant,
        panel_sha256=(
            "d3c9704cd7c54d595d21ea1b1c3e6f63698106ea567899a6c7512cf627bf7a58",
            "ad9e203abf6c94520edf9d09c5e6395cf4601fdd91e5e16b08606c6ff4f32a39",
            "ccaa1cde93d75ccc3a2562fb488abadd076b44431f17e20b1e0e5039397bbc17",
        ),
    ),
}


@pytest.fixture(params=envs.names())
def env(request):
    return envs.make(request.param)


@functools.cache
def compiled_episodes(env):
    """One program for all rollouts here: (tasks, keys, is_expert) → episodes."""

    def random_response(state, key):
        """Well-formed, damaged, or nothing but random tokens."""
        say_key, kind_key, token_key, place_key = jax.random.split(key, 4)
        said = env.expert(state, say_key, 0.7)
        shape = (env.response_length,)
        tokens = jax.random.randint(token_key, shape, 0, len(env.vocabulary))
        damage = jax.random.bernoulli(place_key, 0.2, shape)
        which = jax.random.randint(kind_key, (), 0, 3)
        return jnp.stack([said, jnp.where(damage, tokens, said), tokens])[which]

    def episode(task, key, is_expert):
        state, first = env.reset(jax.random.fold_in(key, 0), task)

        def body(carry, key):
            state, over = carry
            random, expert = random_response(state, key), env.expert(state, key)
            response = jnp.where(is_expert, expert, random)
            after, observation, reward, terminated = env.step(state, response)
            out = {
                "before": state,
                "response": response,
                "observation": observation,
                "reward": reward,
                "terminated": terminated,
                "live": ~over,
            }
            return (after, over | terminated), out

        keys = jax.random.split(key, env.max_steps)
        (last, _), steps = jax.lax.scan(body, (state, jnp.bool_(False)), keys)
        # A finished episode stays as it is, so the last state is the final one.
        success = env.outcome(last)["success"] == 1
        return {**steps, "first": first, "success": success}

    return jax.jit(jax.vmap(episode, in_axes=(0, 0, None)))


@functools.cache
def play(env, panel, kind, seed=7):
    """Episodes [N, T] of "expert" or "random" on a panel, as NumPy."""
    tasks = env.panel(panel)
    size = jax.tree.leaves(tasks)[0].shape[0]
    tasks = jax.tree.map(lambda x: x[jnp.arange(num_episodes(env)) % size], tasks)
    keys = jax.random.split(jax.random.key(seed), num_episodes(env))
    return jax.device_get(compiled_episodes(env)(tasks, keys, kind == "expert"))


@functools.cache
def compiled_step(env):
    return jax.jit(jax.vmap(env.step))


@functools.cache
def first_state(env):
    return jax.jit(env.reset)(jax.random.key(0), take(env.panel("train"), 0))[0]


def rows_of(tree):
    """[n, K] int64, a task a row."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(tree)]
    return np.concatenate([x.reshape(len(x), -1) for x in leaves], 1).astype(np.int64)


def as_set(tree):
    return set(map(tuple, rows_of(tree).tolist()))


def take(tree, index):
    return jax.tree.map(lambda x: x[index], tree)


def visited_states(env, number):
    """States before a step, picked evenly from live steps of random episodes."""
    steps = play(env, "train", "random")
    states = jax.tree.map(lambda x: x[steps["live"]], steps["before"])
    total = int(steps["live"].sum())
    return jax.tree.map(lambda x: jnp.asarray(x[:: total // number][:number]), states)


def test_every_environment_is_tested():
    assert set(CASES) == set(envs.names())


def test_declares_what_the_protocol_asks_for(env):
    assert env.name in envs.names()
    assert isinstance(env.version, str) and env.version
    assert env.panels[:3] == envs.PANELS
    assert env.on_time_limit in typing.get_args(TimeLimit)
    assert env.vocabulary.words[:4] == SPECIAL
    assert len(env.instructions.split()) > 10
    hash(env)  # a static argument of jit


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_steps", 0),
        ("max_steps", 16.0),
        ("max_steps", True),
        ("max_steps", "16"),
        ("think_tokens", -1),
        ("think_tokens", 2.5),
        ("on_time_limit", "truncate"),
        ("on_time_limit", None),
    ],
)
def test_impossible_settings_are_named(env, setting, value):
    with pytest.raises(ValueError, match=rf"^{setting}: {value!r} is not"):
        envs.make(env.name, **{setting: value})


def test_shapes_and_dtypes(env):
    key, task = jax.random.key(0), take(env.panel("train"), 0)
    state, first = jax.eval_shape(env.reset, key, task)
    response = jax.eval_shape(env.expert, state, key)
    after, observation, reward, terminated = jax.eval_shape(env.step, state, response)
    assert response.shape == (env.response_length,) and response.dtype == jnp.int32
    for tokens in (first, observation):
        assert tokens.shape == (env.observation_length,)
        assert tokens.dtype == jnp.int32
    assert reward.shape == () and reward.dtype == jnp.float32
    assert terminated.shape == () and terminated.dtype == bool
    state_key = jax.eval_shape(env.state_key, first)
    assert state_key.shape == () and state_key.dtype == jnp.uint32
    golden = jax.eval_shape(env.golden_steps, task)
    assert golden.shape == () and golden.dtype == jnp.int32
    # A scan carries the state: a step may change neither shapes nor types.
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (state, after)]
    assert shapes[0] == shapes[1]


def test_same_key_and_task_give_the_same_episode(env):
    once = play(env, "train", "random")
    again = play.__wrapped__(env, "train", "random")
    jax.tree.map(np.testing.assert_array_equal, once, again)


def test_branching_a_state_is_continuing_it(env):
    """A state taken out in mid-episode, copied and stepped on gives what followed."""
    steps = play(env, "train", "random")
    middle = env.max_steps // 2
    states = take(steps["before"], (slice(0, 64), middle))
    copies = jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], 3, 0), states)
    step = jax.jit(jax.vmap(jax.vmap(env.step), in_axes=(0, None)))
    for t in range(middle, env.max_steps):
        copies, observation, reward, terminated = step(
            copies, jnp.asarray(steps["response"][:64, t])
        )
        for branch in range(3):
            np.testing.assert_array_equal(
                observation[branch], steps["observation"][:64, t]
            )
            np.testing.assert_array_equal(reward[branch], steps["reward"][:64, t])
            np.testing.assert_array_equal(
                terminated[branch], steps["terminated"][:64, t]
            )


def test_random_responses_never_leave_the_vocabulary_or_the_reward_bounds(env):
    responses = 0
    for seed in range(PLAYS):
        steps = play.__wrapped__(env, "train", "random", seed)
        responses += steps["reward"].size
        low, high = CASES[env.name].reward_bounds
        assert np.isfinite(steps["reward"]).all()
        assert steps["reward"].min() >= low and steps["reward"].max() <= high
        for tokens in (steps["observation"], steps["first"]):
            assert tokens.min() >= 0 and tokens.max() < len(env.vocabulary)
            length = np.asarray(token_length(tokens))
            assert (length > 0).all()
            inside = np.arange(tokens.shape[-1]) < length[..., None]
            assert not ((tokens == PAD) & inside).any()
    assert responses >= 100_000


@pytest.mark.parametrize("panel", envs.PANELS)
def test_the_clean_expert_succeeds_within_the_limit(env, panel):
    steps = play(env, panel, "expert")
    success = steps["success"]
    assert success.mean() >= 0.95
    assert (steps["reward"].sum(axis=1)[success] > 0).all()


@pytest.mark.parametrize("panel", envs.PANELS)
def test_nobody_beats_the_golden_steps(env, panel):
    golden = np.asarray(jax.vmap(env.golden_steps)(env.panel(panel)))
    assert golden.min() >= 1 and golden.max() <= env.max_steps
    steps = play(env, panel, "expert")
    success = steps["success"]
    golden = golden[np.arange(num_episodes(env)) % len(golden)]
    assert (steps["live"].sum(axis=1)[success] >= golden[success]).all()


def test_panels_are_large_distinct_and_unchanged(env):
    expected = CASES[env.name].panel_sha256
    for panel, sha256 in zip(env.panels, expected, strict=True):
        tasks = env.panel(panel)
        rows = rows_of(tasks)
        assert len(rows) >= 512
        assert len(as_set(tasks)) == len(rows)
        digest = hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes())
        assert digest.hexdigest() == sha256, (
            f"panel {panel!r} of {env.name} is no longer the one results were "
            "reported on: undo the change, or raise the environment's version and "
            "this hash"
        )


def test_no_task_is_in_two_panels(env):
    """Neither a frozen task nor one that training could draw."""

    @functools.partial(jax.jit, static_argnums=1)
    def sample(key, panel):
        keys = jax.random.split(key, 2048)
        return jax.vmap(lambda k: env.sample_task(k, panel))(keys)

    drawn = {}
    for i, panel in enumerate(env.panels):
        sampled = sample(jax.random.key(i), panel)
        drawn[panel] = as_set(env.panel(panel)) | as_set(sampled)
        assert len(as_set(sampled)) > 1000  # not the same few tasks again and again
    for i, a in enumerate(env.panels):
        for b in env.panels[i + 1 :]:
            assert not drawn[a] & drawn[b], f"panels {a} and {b} share tasks"


def test_unknown_panels_are_refused(env):
    for ask in (env.panel, lambda name: env.sample_task(jax.random.key(0), name)):
        with pytest.raises(ValueError, match=r"'tset'.*train, seen, unseen"):
            ask("tset")


def test_observations_do_not_depend_on_hidden_things(env):
    """Hidden parts change, the world then stands still for a malformed response."""
    states = visited_states(env, 512)
    keys = jax.random.split(jax.random.key(3), 512)
    variants = jax.jit(jax.vmap(CASES[env.name].hidden_variant))(states, keys)
    assert rows_of(states).tolist() != rows_of(variants).tolist()
    malformed = jnp.full((512, env.response_length), PAD).at[:, 0].set(EOS)
    step = compiled_step(env)
    observation = step(states, malformed)[1]
    np.testing.assert_array_equal(observation, step(variants, malformed)[1])


def test_descriptions_say_what_the_tokens_say(env):
    """Two observations read the same exactly when they are the same."""
    observations = play(env, "train", "random")["observation"]
    observations = observations.reshape(-1, env.observation_length)[::61]
    texts = {}
    for tokens in observations:
        text = env.describe(tokens)
        assert not any(word in text for word in SPECIAL)
        assert texts.setdefault(text, tokens.tobytes()) == tokens.tobytes()
    assert len(texts) == len({tokens.tobytes() for tokens in observations}) > 100


def test_responses_survive_text(env):
    """parse is the inverse of decoding for everything the expert says."""
    responses = play(env, "train", "expert")["response"][:40]
    responses = responses.reshape(-1, env.response_length)
    for response in np.unique(responses, axis=0)[::5]:
        text = env.vocabulary.decode(response).removesuffix(" <eos>")
        np.testing.assert_array_equal(env.parse(text), response)
        np.testing.assert_array_equal(env.parse(f"  {text.upper()} \n"), response)


@pytest.mark.parametrize(
    "text", ["", "xyzzy", "<eos>", "<pad> <bos>", ";", "xyzzy " * 500]
)
def test_text_that_is_no_action_gives_a_response_like_any_other(env, text):
    response = env.parse(text)
    assert response.shape == (env.response_length,) and response.dtype == jnp.int32
    assert EOS in response
    states, responses = jax.tree.map(lambda x: x[None], (first_state(env), response))
    after, _, reward, terminated = compiled_step(env)(states, responses)
    assert terminated.all() == CASES[env.name].malformed_ends
    assert not jax.vmap(env.outcome)(after)["success"].any()
    assert (reward <= 0).all()


def test_state_keys_tell_situations_apart(env):
    observations = play(env, "train", "random")["observation"]
    observations = observations.reshape(-1, env.observation_length)
    keys = np.asarray(jax.jit(jax.vmap(env.state_key))(jnp.asarray(observations)))
    # A situation is met at several times, so keys are fewer than observations.
    num_observations = len(np.unique(observations, axis=0))
    assert num_observations / 20 < len(np.unique(keys)) < num_observations


def test_render_is_text(env):
    assert len(env.render(first_state(env)).splitlines()) > 1
