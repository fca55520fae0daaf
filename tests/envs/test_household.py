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


def task_of(goal, *places):
    """A task in words: "put hot plate : drawer 1", and where the two mugs, plates,
    apples and eggs are; places not given are shelf 1."""
    words, receptacle = goal.split(" : ")
    verb, attribute, kind = words.split()
    places = [*places, *["shelf 1"] * (rules.NUM_OBJECTS - len(places))]
    return rules.Task(
        jnp.int32(rules.VERBS.index(verb)),
        jnp.int32(rules.ATTRIBUTES.index(attribute)),
        jnp.int32(rules.KINDS.index(kind)),
        jnp.int32(rules.RECEPTACLE_NAMES.index(receptacle)),
        jnp.array([rules.RECEPTACLE_NAMES.index(p) for p in places], jnp.int32),
    )


TASK = task_of(
    "put hot plate : drawer 1",
    *("shelf 1", "fridge 1", "cabinet 1", "desk 1"),  # mugs, plates
    *("shelf 1", "shelf 2", "cabinet 1", "drawer 1"),  # apples, eggs
)
MUG = task_of("put any mug : shelf 2")


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


WORDS = """<pad> <bos> <eos> ; . goal in step at hold see last act room closed off on
put two look go to cabinet 1 2 drawer shelf desk fridge sink stove open close take mug
plate apple egg clean heat cool use lamp any hot cold ok nothing unrecognised think hmm
now next"""

# ---- what the policy sees ----------------------------------------------------


def test_vocabulary_is_small_and_its_order_is_frozen():
    words = tuple(WORDS.split())
    assert ENV.vocabulary.words == (*words, *(f"s{i}" for i in range(21)))
    assert Household(max_steps=5).vocabulary.words[: len(words)] == words
    assert len(Household(max_steps=5).vocabulary) == len(words) + 6


def test_an_episode_word_for_word():
    state, observation = start()
    seen = [read(observation)]
    script = (
        ("go to cabinet 1", 0),
        ("open cabinet 1", 0),
        ("hmm now ; take plate", 0),
        ("go to stove 1", 0),
        ("think think ; heat plate", 0),
        ("go to drawer 1", 0),
        ("put plate", 0),
        ("open drawer 1", 0),
        ("put plate", 1),
    )
    for text, expected in script:
        state, observation, reward, terminated = act(state, text)
        seen.append(read(observation))
        assert float(reward) == expected and bool(terminated) == bool(expected)
    goal = "<bos> goal put hot plate in drawer 1 step"
    none = " ".join("." * 16)
    both = ". . . . . plate . . . . . . . egg . ."
    egg = both.replace("plate", ".")
    assert seen == [
        f"{goal} s0 at room . . hold . . see {none} last . . . . . act",
        f"{goal} s1 at cabinet 1 closed hold . . see {none} "
        "last go to cabinet 1 ok act",
        f"{goal} s2 at cabinet 1 open hold . . see {both} last open cabinet 1 . ok act",
        f"{goal} s3 at cabinet 1 open hold plate . see {egg} "
        "last take plate . . ok act",
        f"{goal} s4 at stove 1 . hold plate . see {none} last go to stove 1 ok act",
        f"{goal} s5 at stove 1 . hold plate hot see {none} last heat plate . . ok act",
        f"{goal} s6 at drawer 1 closed hold plate hot see {none} "
        "last go to drawer 1 ok act",
        f"{goal} s7 at drawer 1 closed hold plate hot see {none} "
        "last put plate . . nothing act",
        f"{goal} s8 at drawer 1 open hold plate hot see "
        ". . . . . . . . . . . . . . . egg last open drawer 1 . ok act",
        f"{goal} s9 at drawer 1 open hold . . see "
        ". . . . hot plate . . . . . . . . . egg last put plate . . ok act",
    ]


def test_descriptions_word_for_word():
    state, observation = start()
    goal = "Your task: put a hot plate in drawer 1.\n"
    assert ENV.describe(observation) == (
        f"{goal}Steps taken: 0.\n"
        "You are in the middle of the room.\n"
        "You see nothing.\n"
        "You hold nothing."
    )
    state, observation, *_ = act(state, "go to cabinet 1", "take egg")
    assert ENV.describe(observation) == (
        f"{goal}Steps taken: 2.\n"
        "You are at cabinet 1, which is closed.\n"
        "You see nothing.\n"
        "You hold nothing.\n"
        "Your last action was: take egg. Nothing happens."
    )
    state, observation, *_ = act(
        state, "open cabinet 1", "take egg", "go to sink 1", "clean egg"
    )
    assert ENV.describe(observation) == (
        f"{goal}Steps taken: 6.\n"
        "You are at sink 1.\n"
        "You see nothing.\n"
        "You hold a clean egg.\n"
        "Your last action was: clean egg."
    )
    state, observation, *_ = act(state, "go to shelf 1", "put egg", "mug mug")
    assert ENV.describe(observation) == (
        f"{goal}Steps taken: 9.\n"
        "You are at shelf 1.\n"
        "You see a mug, an apple, a clean egg.\n"
        "You hold nothing.\n"
        "Your last response was not recognised as an action."
    )
    _, observation, *_ = act(state, "go to desk 1", "use lamp")
    assert "You are at desk 1, where the lamp is on." in ENV.describe(observation)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("put any egg : shelf 2", "put an egg in shelf 2"),
        ("put cold egg : shelf 2", "put a cold egg in shelf 2"),
        ("two any mug : fridge 1", "put two mugs in fridge 1"),
        ("look any apple : desk 1", "look at an apple under the lamp of desk 1"),
    ],
)
def test_goals_in_english(goal, said):
    text = ENV.describe(start(task_of(goal))[1])
    assert text.startswith(f"Your task: {said}.\n")


def test_render_shows_the_hidden_things():
    state, *_ = act(
        start()[0],
        *("go to cabinet 1", "open cabinet 1", "take plate"),
        *("go to stove 1", "heat plate", "go to desk 1", "use lamp"),
        "go to drawer 1",
    )
    assert ENV.render(state) == (
        "goal: put hot plate drawer 1 | steps taken: 8 | lamp: on\n"
        "hand: hot plate\n"
        "  cabinet 1 open   egg\n"
        "  cabinet 2 closed\n"
        "> drawer 1  closed egg\n"
        "  shelf 1          mug, apple\n"
        "  shelf 2          apple\n"
        "  desk 1           plate\n"
        "  fridge 1  closed mug\n"
        "  sink 1\n"
        "  stove 1"
    )


def test_the_step_counter_saturates_at_the_limit():
    env = Household(max_steps=2)
    step = jax.jit(env.step)
    state, observation = jax.jit(env.reset)(jax.random.key(0), TASK)
    counters = []
    for _ in range(4):
        counters.append(read(observation).split()[9])
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
        ((*HOLDING_PLATE, "go to sink 1"), "cool plate"),  # not at the fridge
        (("go to shelf 1",), "use lamp"),  # there is none
        (("go to desk 1", "use lamp"), "use lamp"),  # it is on
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
    to_fridge = ("go to fridge 1", "cool plate")
    to_goal = ("go to drawer 1", "open drawer 1", "put plate")
    ended = act(start()[0], *HOLDING_PLATE, *to_sink, *to_fridge, *to_stove, *to_goal)
    assert float(ended[2]) == 1 and bool(ended[3])
    for last in (to_sink, to_fridge):
        missed = act(start()[0], *HOLDING_PLATE, *to_stove, *last, *to_goal)
        assert float(missed[2]) == 0 and not bool(missed[3])


def test_an_action_takes_the_first_of_its_kind_in_sight():
    state, *_ = act(start(MUG)[0], "go to shelf 1", "take mug")
    assert state.object_location[:2].tolist() == [rules.HAND, 3]
    state, *_ = act(state, "go to stove 1", "heat mug", "go to shelf 1", "put mug")
    assert state.object_location[:2].tolist() == [3, 3]
    assert state.object_attribute[:2].tolist() == [2, 0]  # of the one in the hand


TO_SHELF_2 = ("go to shelf 1", "take mug", "go to shelf 2", "put mug")


def test_any_takes_an_object_of_whatever_attribute():
    ended = act(
        start(MUG)[0],
        *("go to shelf 1", "take mug", "go to stove 1", "heat mug"),
        *("go to shelf 2", "put mug"),
    )
    assert float(ended[2]) == 1 and bool(ended[3])


def test_the_wrong_object_or_place_is_no_success():
    wrong_object = ("go to shelf 1", "take egg", "go to shelf 2", "put egg")
    wrong_place = ("go to shelf 1", "take mug", "go to sink 1", "put mug")
    for script in (wrong_object, wrong_place):
        _, _, reward, terminated = act(start(MUG)[0], *script)
        assert not reward and not terminated


def test_two_are_two():
    task = task_of("two any mug : shelf 2", "shelf 1", "cabinet 1")
    state, _, reward, terminated = act(start(task)[0], *TO_SHELF_2)
    assert not reward and not terminated
    again = ("take mug", "put mug")  # the same one once more
    state, _, reward, terminated = act(state, *again)
    assert not reward and not terminated
    second = ("go to cabinet 1", "open cabinet 1", "take mug", *TO_SHELF_2[2:])
    _, _, reward, terminated = act(state, *second)
    assert float(reward) == 1 and bool(terminated)


def test_a_look_needs_the_object_in_hand_and_the_lamp_on():
    task = task_of("look any mug : desk 1", "shelf 1", "desk 1")
    fetch = ("go to shelf 1", "take mug", "go to desk 1")
    state, _, reward, terminated = act(start(task)[0], *fetch, "put mug", "use lamp")
    assert not reward and not terminated  # it lies there, nobody looks at it
    _, _, reward, terminated = act(state, "take egg")
    assert not reward and not terminated
    _, _, reward, terminated = act(state, "take mug")
    assert float(reward) == 1 and bool(terminated)
    _, _, reward, terminated = act(start(task)[0], *fetch, "use lamp")
    assert float(reward) == 1 and bool(terminated)
    away = ("go to desk 1", "use lamp", "go to shelf 1", "take mug")
    state, _, reward, terminated = act(start(task)[0], *away)
    assert not reward and not terminated  # the lamp shines elsewhere
    _, _, reward, _ = act(state, "go to desk 1")
    assert float(reward) == 1


def test_a_finished_episode_stays_as_it_is():
    state, observation, *_ = act(start(MUG)[0], *TO_SHELF_2)
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
        act(state, "go to desk 1")[1],
        act(state, "go to desk 1", "use lamp")[1],
        start(TASK.replace(goal_receptacle=jnp.int32(1)))[1],
        start(TASK.replace(goal_attribute=jnp.int32(1)))[1],
        start(TASK.replace(goal_kind=jnp.int32(0)))[1],
        start(TASK.replace(goal_verb=jnp.int32(rules.PUT_TWO)))[1],
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

        return jax.lax.scan(body, rules.initial_state(task), None, length=20)[1]

    return jax.jit(jax.vmap(episode))(ENV.panel("unseen"))


def test_the_expert_knows_only_what_is_in_sight():
    states, actions, _ = clean_episodes()
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), states)
    keys = jax.random.split(jax.random.key(5), actions.size)
    others = jax.jit(jax.vmap(hidden_variant))(flat, keys)
    np.testing.assert_array_equal(
        jax.jit(jax.vmap(expert.clean_action))(others), actions.reshape(-1)
    )


def script_of(task, state=None, steps=20):
    """(what the expert says until the end, last reward)."""
    state = start(task)[0] if state is None else state
    said, terminated = [], False
    while not terminated and len(said) < steps:
        response = EXPERT(state, jax.random.key(len(said)))
        said.append(rules.ACTIONS[int(ACTION_OF(response))])
        state, _, reward, terminated = STEP(state, response)
    return said, float(reward)


def opened(*places):
    return [f"{verb} {place}" for place in places for verb in ("go to", "open")]


def test_the_expert_searches_in_order_but_not_where_it_shall_put():
    said, reward = script_of(task_of("put clean egg : cabinet 2"))
    rest = ["go to shelf 1", "take egg", "go to sink 1", "clean egg"]
    expected = [*opened("cabinet 1", "drawer 1"), *rest, *opened("cabinet 2")]
    assert (said, reward) == ([*expected, "put egg"], 1)


def test_the_expert_brings_two_and_looks_under_the_lamp():
    two = task_of("two any mug : drawer 1", "cabinet 1", "shelf 2")
    said, reward = script_of(two)
    first = [*opened("cabinet 1"), "take mug", *opened("drawer 1"), "put mug"]
    second = ["go to shelf 1", "go to shelf 2", "take mug", "go to drawer 1", "put mug"]
    assert (said, reward) == ([*first, *second], 1)
    look = task_of("look any mug : desk 1", "cabinet 1", "shelf 2")
    said, reward = script_of(look)
    expected = [*opened("cabinet 1"), "take mug", "go to desk 1", "use lamp"]
    assert (said, reward) == (expected, 1)


def test_the_expert_frees_its_hand_and_finds_what_noise_misplaced():
    task = task_of("put any egg : shelf 2")
    script = (
        *("go to shelf 1", "take egg", "go to sink 1", "put egg"),
        *("go to shelf 1", "take egg", "go to stove 1", "put egg"),
        *("go to shelf 1", "take mug", "go to cabinet 1"),
    )
    said, reward = script_of(task, act(start(task)[0], *script)[0])
    assert said[:2] == ["open cabinet 1", "put mug"]
    assert said[-4:] == ["go to sink 1", "take egg", "go to shelf 2", "put egg"]
    assert reward == 1


def test_noise_is_the_chance_of_any_action():
    state, _ = start()
    keys = jax.random.split(jax.random.key(2), 6400)
    act_with = jax.jit(
        jax.vmap(lambda k, noise: expert.noisy_action(state, k, noise), (0, None))
    )
    clean = int(expert.clean_action(state))
    assert set(np.asarray(act_with(keys, 0.0)).tolist()) == {clean}
    random = np.bincount(act_with(keys, 1.0), minlength=rules.NUM_ACTIONS)
    assert random.min() > 110 and random.max() < 230  # 168 expected, sd 13
    half = np.bincount(act_with(keys, 0.5), minlength=rules.NUM_ACTIONS)
    assert 3130 < half[clean] < 3440  # (.5 + .5/38) · 6400 = 3284, sd 40


# ---- tasks -------------------------------------------------------------------


def test_unseen_goals_leave_every_word_in_training():
    unseen, known = panels.UNSEEN_GOALS, panels.KNOWN_GOALS
    assert len(unseen) == 21 and len(known) == 123
    assert len(np.unique(np.concatenate([unseen, known]), axis=0)) == 144
    # One goal of every kind and family; the receptacles take turns.
    families = collections.Counter((*goal[:2], goal[2]) for goal in unseen.tolist())
    assert set(families.values()) == {1}
    places = collections.Counter(unseen[unseen[:, 0] != rules.LOOK, 3].tolist())
    assert set(places) == set(rules.STORAGE.tolist()) and max(places.values()) == 3
    # Every pair of words, but for "look" with "egg", is known from another goal.
    pairs = itertools.combinations(range(4), 2)
    for pair in pairs:
        new = set(map(tuple, unseen[:, pair].tolist()))
        new -= set(map(tuple, known[:, pair].tolist()))
        assert new <= {(rules.LOOK, rules.KINDS.index("egg"))}


@pytest.mark.parametrize("panel", envs.PANELS)
def test_panels_have_all_goals_and_places(panel):
    tasks = ENV.panel(panel)
    goals = np.stack(jax.tree.leaves(tasks)[:4], axis=1)
    of = panels.UNSEEN_GOALS if panel == "unseen" else panels.KNOWN_GOALS
    missing = set(map(tuple, of.tolist())) - set(map(tuple, goals.tolist()))
    assert set(map(tuple, goals.tolist())) <= set(map(tuple, of.tolist()))
    assert len(missing) <= 9  # 512 draws of 123 goals: 4 stay away on average
    families = collections.Counter(map(tuple, goals[:, :2].tolist()))
    assert len(families) == 6 and min(families.values()) > 55  # 85 expected, sd 8
    at = np.asarray(tasks.object_location)
    wanted = rules.KIND_OF[None] == goals[:, 2:3]
    wanted &= goals[:, :1] != rules.LOOK
    assert not (wanted & (at == goals[:, 3:])).any()
    counts = np.bincount(at.ravel(), minlength=rules.NUM_RECEPTACLES)
    assert (counts[rules.STORAGE] > 480).all()  # 585 expected, sd 22
    assert counts[rules.STORAGE].sum() == 8 * 512  # nothing elsewhere


def test_every_task_is_in_one_panel_and_one_known_in_eight_is_seen():
    goals = np.concatenate([panels.UNSEEN_GOALS, panels.KNOWN_GOALS])
    places = np.random.default_rng(0).choice(rules.STORAGE, (40, rules.NUM_OBJECTS))
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
    assert inside["unseen"].sum() == 21 * len(places)
    share = inside["seen"].sum() / (~inside["unseen"]).sum()
    assert abs(share - 1 / 8) < 0.015  # of 4,920 tasks: sd .005


# ---- golden steps by search --------------------------------------------------

OPENING = frozenset(np.flatnonzero(rules.OPENS).tolist())


def moves(world, attribute, place):
    """Worlds one step on, of an agent that only touches what is wanted.

    A world is (where it is, open doors, lamp on, ((place, attribute) of each)).
    Written from the rules in English, not from `rules.apply`.
    """
    here, doors, lamp, things = world
    for there in range(rules.NUM_RECEPTACLES):
        yield there, doors, lamp, things
    reach = here < rules.NUM_RECEPTACLES and (here not in OPENING or here in doors)
    if here in OPENING:
        yield here, doors | {here}, lamp, things
    if here == rules.RECEPTACLE_NAMES.index("desk 1"):
        yield here, doors, True, things
    full = any(where == rules.HAND for where, _ in things)
    for i, (where, made) in enumerate(things):
        changed = []
        if where == here and reach and not full:
            changed.append((rules.HAND, made))
        if where == rules.HAND:
            changed += [(here, made)] * reach
            changed += [(rules.HAND, attribute)] * (here == place)
        for thing in changed:
            yield here, doors, lamp, (*things[:i], thing, *things[i + 1 :])


def fewest_steps(task):
    """Breadth-first search."""
    verb, attribute, kind, goal = (int(x) for x in jax.tree.leaves(task)[:4])
    place = {1: "sink 1", 2: "stove 1", 3: "fridge 1"}.get(attribute)
    place = rules.RECEPTACLE_NAMES.index(place) if place else None
    starts = np.asarray(task.object_location)[kind == rules.KIND_OF]
    frontier = {(rules.ROOM, frozenset(), False, tuple((int(s), 0) for s in starts))}
    met = set(frontier)
    for num_steps in itertools.count(1):
        after = {w for old in frontier for w in moves(old, attribute, place)} - met
        for here, _, lamp, things in after:
            good = sum(t == (goal, attribute) for t in things)
            lit = lamp and here == goal and any(w == rules.HAND for w, _ in things)
            if lit if verb == rules.LOOK else good > (verb == rules.PUT_TWO):
                return num_steps
        met |= after
        frontier = after


def test_golden_steps_are_the_fewest():
    tasks = ENV.panel("train")
    golden = np.asarray(jax.jit(jax.vmap(ENV.golden_steps))(tasks))
    goals = np.stack(jax.tree.leaves(tasks)[:2], axis=1)
    chosen = []
    for verb, attribute in panels.FAMILIES:
        here = np.flatnonzero((goals == (verb, attribute)).all(axis=1))
        for steps in np.unique(golden[here]):
            chosen += here[golden[here] == steps][:3].tolist()
    assert set(golden[chosen].tolist()) == set(range(3, 12))
    found = [fewest_steps(jax.tree.map(lambda x, i=i: x[i], tasks)) for i in chosen]
    assert found == golden[chosen].tolist()


# ---- settings and registry ---------------------------------------------------


def test_registry():
    assert "household" in envs.names()
    assert envs.make("household", max_steps=20) == Household(max_steps=20)
    with pytest.raises(ValueError, match="'houshold' is not one of household"):
        envs.make("houshold")
    known = "max_steps, think_tokens, on_time_limit"
    with pytest.raises(ValueError, match=f"'max_step' is not one .*: {known}"):
        envs.make("household", max_step=20)
