"""The household by hand: literal episodes, each rule, golden steps by search."""

import collections
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import envs
from steppo_jax.envs.household import Household, expert, language, panels, rules
from steppo_jax.vocabulary import EOS, PAD, SEP
from tests.envs.household_cases import hidden_variant

ENV = Household()
STEP = jax.jit(ENV.step)
RESET = jax.jit(ENV.reset)
EXPERT = jax.jit(ENV.expert)
ACTION_OF = jax.jit(language.action_of)
APPLY_ALL = jax.jit(
    jax.vmap(jax.vmap(rules.apply, in_axes=(None, 0)), in_axes=(0, None))
)


def task_of(goal_object, attribute, receptacle, *places):
    """A task in words; places of mug, plate, apple and egg."""
    at = [rules.RECEPTACLE_NAMES.index(p) for p in places]
    return rules.Task(
        jnp.int32(rules.OBJECTS.index(goal_object)),
        jnp.int32(rules.ATTRIBUTES.index(attribute)),
        jnp.int32(rules.RECEPTACLE_NAMES.index(receptacle)),
        jnp.array(at, jnp.int32),
    )


TASK = task_of(
    "plate", "hot", "drawer 2", "shelf 1", "cabinet 1", "shelf 1", "cabinet 1"
)


def start(task=TASK):
    return RESET(jax.random.key(0), task)


def tokens(text):
    return jnp.asarray(ENV.vocabulary.encode(text, length=ENV.response_length))


def act(state, *texts):
    """Says each text in turn: (state, observation, reward, terminated) at the end."""
    for text in texts:
        state, *rest = STEP(state, tokens(text + " <eos>"))
    return state, *rest


def read(observation):
    return ENV.vocabulary.decode(observation)


WORDS = """<pad> <bos> <eos> ; . goal in step at hold see last act room closed go to
cabinet 1 2 drawer shelf sink stove open close take mug plate apple egg put clean heat
any hot ok nothing unrecognised think hmm now next"""

# ---- what the policy sees ----------------------------------------------------


def test_vocabulary_is_small_and_its_order_is_frozen():
    words = tuple(WORDS.split())
    assert ENV.vocabulary.words == (*words, *(f"s{i}" for i in range(17)))
    assert Household(max_steps=20).vocabulary.words[: len(words)] == words
    assert len(Household(max_steps=20).vocabulary) == len(words) + 21


def test_an_episode_word_for_word():
    state, observation = start()
    seen = [read(observation)]
    script = (
        ("go to cabinet 1", 0),
        ("open cabinet 1", 0),
        ("hmm now ; take plate", 0),
        ("go to stove 1", 0),
        ("think think ; heat plate", 0),
        ("go to drawer 2", 0),
        ("put plate", 0),
        ("open drawer 2", 0),
        ("put plate", 1),
    )
    for text, expected in script:
        state, observation, reward, terminated = act(state, text)
        seen.append(read(observation))
        assert float(reward) == expected and bool(terminated) == bool(expected)
    goal = "<bos> goal hot plate in drawer 2 step"
    assert seen == [
        f"{goal} s0 at room . . hold . . see . . . . . . . . last . . . . . act",
        f"{goal} s1 at cabinet 1 closed hold . . see . . . . . . . . "
        "last go to cabinet 1 ok act",
        f"{goal} s2 at cabinet 1 open hold . . see . . . plate . . . egg "
        "last open cabinet 1 . ok act",
        f"{goal} s3 at cabinet 1 open hold plate . see . . . . . . . egg "
        "last take plate . . ok act",
        f"{goal} s4 at stove 1 . hold plate . see . . . . . . . . "
        "last go to stove 1 ok act",
        f"{goal} s5 at stove 1 . hold plate hot see . . . . . . . . "
        "last heat plate . . ok act",
        f"{goal} s6 at drawer 2 closed hold plate hot see . . . . . . . . "
        "last go to drawer 2 ok act",
        f"{goal} s7 at drawer 2 closed hold plate hot see . . . . . . . . "
        "last put plate . . nothing act",
        f"{goal} s8 at drawer 2 open hold plate hot see . . . . . . . . "
        "last open drawer 2 . ok act",
        f"{goal} s9 at drawer 2 open hold . . see . . hot plate . . . . "
        "last put plate . . ok act",
    ]


def test_descriptions_word_for_word():
    state, observation = start()
    assert ENV.describe(observation) == (
        "Your task: put a hot plate in drawer 2.\n"
        "Steps taken: 0.\n"
        "You are in the middle of the room.\n"
        "You see nothing.\n"
        "You hold nothing."
    )
    state, observation, *_ = act(state, "go to cabinet 1", "take egg")
    assert ENV.describe(observation) == (
        "Your task: put a hot plate in drawer 2.\n"
        "Steps taken: 2.\n"
        "You are at cabinet 1, which is closed.\n"
        "You see nothing.\n"
        "You hold nothing.\n"
        "Your last action was: take egg. Nothing happens."
    )
    state, observation, *_ = act(
        state, "open cabinet 1", "take egg", "go to sink 1", "clean egg"
    )
    assert ENV.describe(observation) == (
        "Your task: put a hot plate in drawer 2.\n"
        "Steps taken: 6.\n"
        "You are at sink 1.\n"
        "You see nothing.\n"
        "You hold a clean egg.\n"
        "Your last action was: clean egg."
    )
    state, observation, *_ = act(state, "go to shelf 1", "put egg", "mug mug")
    assert ENV.describe(observation) == (
        "Your task: put a hot plate in drawer 2.\n"
        "Steps taken: 9.\n"
        "You are at shelf 1.\n"
        "You see a mug, an apple, a clean egg.\n"
        "You hold nothing.\n"
        "Your last response was not recognised as an action."
    )
    any_egg = task_of("egg", "any", "shelf 1", *["shelf 2"] * 4)
    assert ENV.describe(start(any_egg)[1]).startswith(
        "Your task: put an egg in shelf 1."
    )


def test_render_shows_the_hidden_things():
    state, *_ = act(
        start()[0],
        *("go to cabinet 1", "open cabinet 1", "take plate"),
        *("go to stove 1", "heat plate", "go to drawer 1"),
    )
    assert ENV.render(state) == (
        "goal: hot plate in drawer 2 | steps taken: 6\n"
        "hand: hot plate\n"
        "  cabinet 1 open   egg\n"
        "  cabinet 2 closed\n"
        "> drawer 1  closed\n"
        "  drawer 2  closed\n"
        "  shelf 1          mug, apple\n"
        "  shelf 2\n"
        "  sink 1\n"
        "  stove 1"
    )


def test_the_step_counter_saturates_at_the_limit():
    env = Household(max_steps=2)
    step = jax.jit(env.step)
    state, observation = jax.jit(env.reset)(jax.random.key(0), TASK)
    counters = []
    for _ in range(4):
        counters.append(read(observation).split()[8])
        state, observation, *_ = step(state, tokens("<eos>"))
    assert counters == ["s0", "s1", "s2", "s2"]


# ---- what can be done --------------------------------------------------------

HOLDING_PLATE = ("go to cabinet 1", "open cabinet 1", "take plate")


@pytest.mark.parametrize(
    ("before", "action"),
    [
        ((), "open cabinet 1"),  # from the middle of the room
        ((), "take mug"),
        (("go to cabinet 1",), "go to cabinet 1"),  # already there
        (("go to cabinet 1",), "open cabinet 2"),  # another one
        (("go to cabinet 1",), "close cabinet 1"),  # it is closed
        (("go to cabinet 1", "open cabinet 1"), "open cabinet 1"),
        (("go to cabinet 1",), "take plate"),  # behind the door
        (("go to cabinet 1", "open cabinet 1"), "take mug"),  # elsewhere
        (HOLDING_PLATE, "take egg"),  # the hand is full
        (HOLDING_PLATE, "take plate"),
        (HOLDING_PLATE, "put egg"),  # not the one in the hand
        ((*HOLDING_PLATE, "close cabinet 1"), "put plate"),  # behind the door
        (HOLDING_PLATE, "heat plate"),  # not at the stove
        ((*HOLDING_PLATE, "go to stove 1"), "clean plate"),  # wrong place
        ((*HOLDING_PLATE, "go to stove 1"), "heat egg"),  # not in the hand
        ((*HOLDING_PLATE, "go to stove 1", "put plate"), "heat plate"),
    ],
)
def test_what_cannot_be_done_changes_nothing(before, action):
    state = act(start()[0], *before)[0] if before else start()[0]
    after, observation, reward, terminated = act(state, action)
    expected = state.replace(
        num_steps=state.num_steps + 1,
        last_action=jnp.int32(rules.action_id(action)),
        last_result=jnp.int32(rules.NOTHING_HAPPENS),
    )
    jax.tree.map(np.testing.assert_array_equal, after, expected)
    assert not reward and not terminated
    assert ENV.describe(observation).endswith(f"{action}. Nothing happens.")


def test_closing_hides_again_and_things_stay():
    state, *_ = act(start()[0], *HOLDING_PLATE, "put plate", "close cabinet 1")
    state, observation, *_ = act(state, "go to shelf 2", "go to cabinet 1")
    assert "You see nothing." in ENV.describe(observation)
    state, observation, *_ = act(state, "open cabinet 1")
    assert "You see a plate, an egg." in ENV.describe(observation)


def test_sink_and_stove_hold_objects():
    _, observation, *_ = act(start()[0], *HOLDING_PLATE, "go to sink 1", "put plate")
    assert "You are at sink 1.\nYou see a plate." in ENV.describe(observation)


def test_an_object_keeps_the_last_attribute():
    to_stove = ("go to stove 1", "heat plate")
    to_sink = ("go to sink 1", "clean plate")
    to_goal = ("go to drawer 2", "open drawer 2", "put plate")
    ended = act(start()[0], *HOLDING_PLATE, *to_sink, *to_stove, *to_goal)
    assert float(ended[2]) == 1 and bool(ended[3])
    missed = act(start()[0], *HOLDING_PLATE, *to_stove, *to_sink, *to_goal)
    assert float(missed[2]) == 0 and not bool(missed[3])


def test_any_takes_an_object_of_whatever_attribute():
    task = task_of("mug", "any", "shelf 2", *["shelf 1"] * 4)
    ended = act(
        start(task)[0],
        *("go to shelf 1", "take mug", "go to stove 1", "heat mug"),
        *("go to shelf 2", "put mug"),
    )
    assert float(ended[2]) == 1 and bool(ended[3])


def test_the_wrong_object_or_place_is_no_success():
    task = task_of("mug", "any", "shelf 2", *["shelf 1"] * 4)
    wrong_object = ("go to shelf 1", "take egg", "go to shelf 2", "put egg")
    wrong_place = ("go to shelf 1", "take mug", "go to sink 1", "put mug")
    for script in (wrong_object, wrong_place):
        _, _, reward, terminated = act(start(task)[0], *script)
        assert not reward and not terminated


def test_a_finished_episode_stays_as_it_is():
    task = task_of("mug", "any", "shelf 2", *["shelf 1"] * 4)
    script = ("go to shelf 1", "take mug", "go to shelf 2", "put mug")
    state, observation, *_ = act(start(task)[0], *script)
    after, again, reward, terminated = act(state, "take mug")
    jax.tree.map(np.testing.assert_array_equal, after, state)
    np.testing.assert_array_equal(again, observation)
    assert float(reward) == 0 and bool(terminated)


# ---- responses ---------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        "go to sink 1 <eos>",
        "; go to sink 1 <eos>",
        "hmm ; go to sink 1 <eos>",
        "hmm think now next ; go to sink 1 <eos>",
        "mug goal 2 ; go to sink 1 <eos>",  # any word may be thought
        "take mug ; go to sink 1 <eos>",  # an action too
        "hmm ; ; go to sink 1 <eos>",
        "go to sink 1 <eos> ; mug",  # after the end nothing counts
        "go to sink 1 <eos> mug hmm",
    ],
)
def test_well_formed_responses(response):
    action = ACTION_OF(tokens(response))
    assert rules.ACTIONS[int(action)] == "go to sink 1"


@pytest.mark.parametrize(
    "response",
    [
        "<eos>",
        "; <eos>",
        "hmm now <eos>",
        "go to sink 1",  # cut before <eos>
        "hmm go to sink 1 <eos>",  # thought without ';'
        "go to sink 1 ; <eos>",
        "go to sink 1 ; hmm <eos>",
        "go to sink 2 <eos>",  # there is none
        "go to sink 1 1 <eos>",
        "go to sink <eos>",
        "<bos> go to sink 1 <eos>",
        "go <pad> to sink 1 <eos>",
        "take <eos>",
        "take mug mug <eos>",
        "open shelf 1 <eos>",  # has no door: no such action
        "hmm think now next hmm think ; take mug",  # no room for <eos>
        "<eos> go to sink 1 <eos>",
    ],
)
def test_malformed_responses(response):
    state, *_ = act(start()[0], "go to shelf 1")
    after, observation, reward, terminated = STEP(state, tokens(response))
    expected = state.replace(
        num_steps=jnp.int32(2),
        last_action=jnp.int32(rules.NO_ACTION),
        last_result=jnp.int32(rules.UNRECOGNISED),
    )
    jax.tree.map(np.testing.assert_array_equal, after, expected)
    assert read(observation).endswith("last . . . . unrecognised act")
    assert not reward and not terminated


@pytest.mark.parametrize(("think_tokens", "length"), [(0, 5), (4, 10), (64, 70)])
def test_every_action_is_understood_after_thoughts_of_every_length(
    think_tokens, length
):
    env = Household(think_tokens=think_tokens)
    assert env.response_length == length
    actions = jnp.repeat(jnp.arange(rules.NUM_ACTIONS), 20)
    keys = jax.random.split(jax.random.key(1), len(actions))
    say = jax.jit(jax.vmap(lambda a, k: language.say(a, k, think_tokens)))
    responses = np.asarray(say(actions, keys))
    assert responses.shape[1] == length
    read_all = jax.jit(jax.vmap(language.action_of))
    np.testing.assert_array_equal(read_all(responses), actions)
    assert ((responses == EOS).sum(axis=1) == 1).all()
    ends = (responses == EOS).argmax(axis=1)
    after_end = np.arange(length) > ends[:, None]
    assert (responses[after_end] == PAD).all() and (responses[~after_end] != PAD).all()
    # As many thoughts as allowed, ';' exactly when there is one.
    said = np.asarray([len(rules.ACTIONS[a].split()) for a in actions])
    thoughts = np.maximum(ends - said - 1, 0)
    assert set(thoughts) == set(range(think_tokens + 1))
    np.testing.assert_array_equal((responses == SEP).sum(axis=1), thoughts > 0)


def test_parse_understands_people():
    for text in ("go to cabinet 1", " Go  TO cabinet 1 ", "hmm;go to cabinet 1"):
        action = ACTION_OF(ENV.parse(text))
        assert rules.ACTIONS[int(action)] == "go to cabinet 1"
    too_long = "hmm " * 9 + "; take mug"
    for text in (
        "go to the moon",
        "um ; take mug",
        "<bos> ; take mug",
        too_long,
        "take",
    ):
        assert int(ACTION_OF(ENV.parse(text))) == rules.MALFORMED


# ---- anchor states -----------------------------------------------------------


def test_state_key_ignores_when_and_how_but_nothing_else():
    state, _ = start()
    _, here, *_ = act(state, "go to shelf 1")
    _, later, *_ = act(state, "take mug", "hmm", "go to shelf 1", "go to shelf 1")
    assert not np.array_equal(here, later)
    assert ENV.state_key(here) == ENV.state_key(later)
    others = [
        act(state, "go to shelf 2")[1],
        act(state, "go to cabinet 1")[1],
        act(state, "go to cabinet 1", "open cabinet 1")[1],
        act(state, "go to cabinet 2")[1],
        act(state, "go to cabinet 2", "open cabinet 2")[1],  # empty: only the door
        act(state, "go to shelf 1", "take mug")[1],
        act(state, "go to shelf 1", "take apple")[1],
        start(TASK.replace(goal_receptacle=jnp.int32(2)))[1],
        start(TASK.replace(goal_attribute=jnp.int32(1)))[1],
        start(TASK.replace(goal_object=jnp.int32(0)))[1],
    ]
    keys = {int(ENV.state_key(o)) for o in [here, *others]}
    assert len(keys) == len(others) + 1


# ---- expert ------------------------------------------------------------------


@functools.cache
def clean_episodes():
    """Clean expert on the unseen panel: states [N, T], actions, terminated."""

    def episode(task):
        def body(state, _):
            action = expert.clean_action(state)
            after = rules.apply(state, action)
            return after, (state, action, rules.solved(after))

        return jax.lax.scan(body, rules.initial_state(task), None, length=16)[1]

    return jax.jit(jax.vmap(episode))(ENV.panel("unseen"))


def test_the_expert_knows_only_what_is_in_sight():
    states, actions, _ = clean_episodes()
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), states)
    keys = jax.random.split(jax.random.key(5), actions.size)
    others = jax.jit(jax.vmap(hidden_variant))(flat, keys)
    np.testing.assert_array_equal(
        jax.jit(jax.vmap(expert.clean_action))(others), actions.reshape(-1)
    )


def test_the_expert_searches_in_order():
    state, _ = start(task_of("egg", "clean", "cabinet 2", *["shelf 1"] * 4))
    said = []
    for i in range(16):
        response = EXPERT(state, jax.random.key(i))
        said.append(rules.ACTIONS[int(ACTION_OF(response))])
        state, _, _, terminated = STEP(state, response)
        if terminated:
            break
    places = ("cabinet 1", "cabinet 2", "drawer 1", "drawer 2")
    search = [f"{verb} {p}" for p in places for verb in ("go to", "open")]
    rest = ["go to shelf 1", "take egg", "go to sink 1", "clean egg"]
    assert said == [*search, *rest, "go to cabinet 2", "put egg"]


def test_the_expert_frees_its_hand_and_finds_what_noise_misplaced():
    task = task_of("egg", "any", "shelf 2", *["shelf 1"] * 4)
    script = ("go to shelf 1", "take egg", "go to sink 1", "put egg", "go to shelf 1")
    state, *_ = act(start(task)[0], *script, "take mug", "go to cabinet 1")
    said = []
    for i in range(14):
        response = EXPERT(state, jax.random.key(i))
        said.append(rules.ACTIONS[int(ACTION_OF(response))])
        state, _, reward, _ = STEP(state, response)
    assert said[:2] == ["open cabinet 1", "put mug"]
    assert said[-3:] == ["take egg", "go to shelf 2", "put egg"]
    assert float(reward) == 1


def test_noise_is_the_chance_of_any_action():
    state, _ = start()
    keys = jax.random.split(jax.random.key(2), 6400)
    act_with = jax.jit(
        jax.vmap(lambda k, noise: expert.noisy_action(state, k, noise), (0, None))
    )
    clean = int(expert.clean_action(state))
    assert set(np.asarray(act_with(keys, 0.0)).tolist()) == {clean}
    random = np.bincount(act_with(keys, 1.0), minlength=rules.NUM_ACTIONS)
    assert random.min() > 140 and random.max() < 270  # 200 expected, sd 14
    half = np.bincount(act_with(keys, 0.5), minlength=rules.NUM_ACTIONS)
    assert 3200 < half[clean] < 3400  # (.5 + .5/32) · 6400 = 3300, sd 40


# ---- tasks -------------------------------------------------------------------


def test_unseen_goals_leave_every_word_in_training():
    assert len(set(panels.UNSEEN_GOALS)) == 12
    counts = [collections.Counter(column) for column in zip(*panels.UNSEEN_GOALS)]
    assert set(counts[0].values()) == {3} and set(counts[0]) == set(rules.OBJECTS)
    assert set(counts[1].values()) == {4} and set(counts[1]) == set(rules.ATTRIBUTES)
    assert set(counts[2].values()) == {2} and len(counts[2]) == 6
    known = set(panels._GOALS) - set(panels.UNSEEN_GOALS)
    assert len(known) == 60
    for pair in itertools.combinations(range(3), 2):  # every pair of words as well
        of = [
            {tuple(goal[i] for i in pair) for goal in s} for s in (known, panels._GOALS)
        ]
        assert of[0] == of[1]


@pytest.mark.parametrize("panel", envs.PANELS)
def test_panels_have_all_goals_and_places(panel):
    tasks = ENV.panel(panel)
    goals = {
        (
            rules.OBJECTS[o],
            rules.ATTRIBUTES[a],
            rules.RECEPTACLE_NAMES[r],
        )
        for o, a, r in zip(
            tasks.goal_object.tolist(),
            tasks.goal_attribute.tolist(),
            tasks.goal_receptacle.tolist(),
        )
    }
    unseen = set(panels.UNSEEN_GOALS)
    assert goals == (unseen if panel == "unseen" else set(panels._GOALS) - unseen)
    at = np.asarray(tasks.object_location)
    goal_at = at[np.arange(512), np.asarray(tasks.goal_object)]
    assert (goal_at != np.asarray(tasks.goal_receptacle)).all()
    counts = np.bincount(at.ravel(), minlength=rules.NUM_RECEPTACLES)
    assert (counts[rules.STORAGE] > 280).all()  # 341 expected, sd 17
    assert counts[rules.STORAGE].sum() == 4 * 512  # nothing elsewhere


def test_every_task_is_in_one_panel_and_one_known_in_eight_is_seen():
    places = itertools.product(range(0, 6, 2), repeat=rules.NUM_OBJECTS)
    goals, places = panels._goal_ids(panels._GOALS), np.array(list(places))
    tasks = rules.Task(
        *np.repeat(goals, len(places), axis=0).T, np.tile(places, (len(goals), 1))
    )
    inside = {
        panel: np.asarray(
            jax.jit(jax.vmap(lambda t, p=panel: panels.in_panel(t, p)))(tasks)
        )
        for panel in envs.PANELS
    }
    np.testing.assert_array_equal(sum(x.astype(int) for x in inside.values()), 1)
    assert inside["unseen"].sum() == 12 * len(places)
    share = inside["seen"].sum() / (~inside["unseen"]).sum()
    assert abs(share - 1 / 8) < 0.015  # of 4,860 tasks: sd .005


def successors(states):
    """Every action tried in every state [n]: states [n · actions], as NumPy."""
    size = len(states.location)
    room = 1 << (size - 1).bit_length()  # few shapes, so few compilations
    padded = jax.tree.map(
        lambda x: np.concatenate([x, np.repeat(x[:1], room - size, 0)]), states
    )
    after = jax.device_get(APPLY_ALL(padded, jnp.arange(rules.NUM_ACTIONS)))
    return jax.tree.map(lambda x: x[:size].reshape(-1, *x.shape[2:]), after)


def fewest_steps(task):
    """Breadth-first search over the shipped transition."""
    goal_object, attribute, receptacle = (
        int(x) for x in (task.goal_object, task.goal_attribute, task.goal_receptacle)
    )
    frontier = jax.device_get(rules.initial_state(task))
    frontier = jax.tree.map(lambda x: np.asarray(x)[None], frontier)
    met = np.array([], np.int64)
    for num_steps in itertools.count(1):
        after = successors(frontier)
        has = after.object_attribute[:, goal_object]
        in_place = after.object_location[:, goal_object] == receptacle
        if (in_place & ((has == attribute) | (attribute == 0))).any():
            return num_steps
        columns = [after.location[:, None], after.is_open]
        columns += [after.object_location, after.object_attribute]
        world = np.concatenate(columns, axis=1).astype(np.int64)
        code = world @ (10 ** np.arange(world.shape[1], dtype=np.int64))
        code, first = np.unique(code, return_index=True)
        is_new = ~np.isin(code, met)
        met = np.concatenate([met, code[is_new]])
        frontier = jax.tree.map(lambda x, new=first[is_new]: x[new], after)


def test_golden_steps_are_the_fewest():
    tasks = ENV.panel("train")
    golden = np.asarray(jax.jit(jax.vmap(ENV.golden_steps))(tasks))
    chosen = [i for steps in range(4, 9) for i in np.flatnonzero(golden == steps)[:10]]
    assert len(chosen) == 50
    found = [fewest_steps(jax.tree.map(lambda x, i=i: x[i], tasks)) for i in chosen]
    assert found == golden[chosen].tolist()


# ---- settings and registry ---------------------------------------------------


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
def test_impossible_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=rf"^{setting}: {value!r} is not"):
        envs.make("household", **{setting: value})


def test_registry():
    assert "household" in envs.names()
    assert envs.make("household", max_steps=20) == Household(max_steps=20)
    with pytest.raises(ValueError, match=r"'houshold' is not one of .*household"):
        envs.make("houshold")
    known = "max_steps, think_tokens, on_time_limit"
    with pytest.raises(ValueError, match=f"'max_step' is not one .*: {known}"):
        envs.make("household", max_step=20)
