"""The shop by hand: the search, each page, WebShop's score, golden steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import envs
from steppo_jax.envs.shop import Shop, catalogue, expert, language, panels, rules
from steppo_jax.vocabulary import EOS
from tests.envs.shop_cases import hidden_variant

ENV = Shop()
STEP = jax.jit(ENV.step)
RESET = jax.jit(ENV.reset)
ACTION_OF = jax.jit(language.action_of)
SCORE = jax.jit(rules.score)
SEARCH = jax.jit(catalogue.search)
TASK = jax.tree.map(lambda x: x[0], ENV.panel("train"))


def words_of(item):
    """What a reader finds on the page of an item."""
    return {
        catalogue.TYPES[catalogue.TYPE[item]],
        *np.array(catalogue.ATTRIBUTES)[catalogue.HAS_ATTRIBUTE[item]],
        *np.array(catalogue.COLOURS)[catalogue.OFFERS_COLOUR[item]],
        *np.array(catalogue.SIZES)[catalogue.OFFERS_SIZE[item]],
    }


def query_of(*words):
    ids = [catalogue.QUERY_WORDS.index(w) for w in words]
    return jnp.array(
        ids + [catalogue.NO_WORD] * (rules.QUERY_LENGTH - len(ids)), jnp.int32
    )


def tokens(text):
    return jnp.asarray(ENV.vocabulary.encode(text, length=ENV.response_length))


def act(state, *texts):
    """Says each text in turn: (state, observation, reward, terminated) at the end."""
    for text in texts:
        state, *rest = STEP(state, tokens(text + " <eos>"))
    return state, *rest


def start(task=TASK):
    return RESET(jax.random.key(0), task)[0]


def same_but_for(after, before, **changed):
    expected = before.replace(
        num_steps=before.num_steps + 1, last_action=after.last_action, **changed
    )
    jax.tree.map(np.testing.assert_array_equal, after, expected)


@functools.cache
def at_item():
    """On the page of an item that satisfies TASK, nothing chosen; its number."""
    colour, size = catalogue.COLOURS[TASK.colour], catalogue.SIZES[TASK.size]
    wanted = [catalogue.ATTRIBUTES[a] for a in TASK.attributes]
    state, *_ = act(start(), f"search {' '.join([*wanted, colour, size])}")
    right = np.flatnonzero(rules.satisfying(TASK))
    place = int(np.flatnonzero(np.isin(state.results, right))[0])
    turn = ["click next"] * (place // rules.PER_PAGE)
    state, *_ = act(state, *turn, f"click i{place % rules.PER_PAGE + 1}")
    assert state.item in right
    return state, colour, size


# ---- the catalogue and the search ---------------------------------------------


def test_every_item_has_what_items_have():
    assert catalogue.NUM_ITEMS >= 1000
    assert (catalogue.HAS_ATTRIBUTE.sum(axis=1) == 3).all()
    assert (catalogue.OFFERS_COLOUR.sum(axis=1) == 3).all()
    assert (catalogue.OFFERS_SIZE.sum(axis=1) == 2).all()
    for column, number in ((catalogue.TYPE, 20), (catalogue.PRICE, 20)):
        counts = np.bincount(column)
        assert len(counts) == number and counts.min() > 25
    for has in (catalogue.HAS_ATTRIBUTE, catalogue.OFFERS_COLOUR):
        share = has.mean(axis=0) / has.mean()
        assert share.min() > 0.7 and share.max() < 1.3
    words = (*catalogue.QUERY_WORDS, *catalogue.PRICES)
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    "query",
    [
        ("lamp",),
        ("lamp", "wooden"),
        ("soft", "quiet", "red", "huge"),
        ("hat", "sofa", "round", "grey"),
        ("hat", "hat", "metal", "warm"),  # twice counts twice
    ],
)
def test_results_are_the_whole_catalogue_sorted_by_matching_words(query):
    matches = [sum(w in words_of(i) for w in query) for i in range(1024)]
    in_order = sorted(range(1024), key=lambda i: (-matches[i], -catalogue.PRIORITY[i]))
    assert SEARCH(query_of(*query)).tolist() == in_order[:10]


def test_ties_are_broken_without_favour():
    assert sorted(catalogue.PRIORITY.tolist()) == list(range(1024))
    assert abs(np.corrcoef(catalogue.PRIORITY, np.arange(1024))[0, 1]) < 0.1


# ---- the score ----------------------------------------------------------------


def score_by_hand(changes):
    """A task for an item, with `changes`; bought with the first colour and size."""
    item = 0  # a lamp
    attributes = np.flatnonzero(catalogue.HAS_ATTRIBUTE[item])
    colour = np.flatnonzero(catalogue.OFFERS_COLOUR[item])[0]
    size = np.flatnonzero(catalogue.OFFERS_SIZE[item])[0]
    others = np.flatnonzero(~catalogue.HAS_ATTRIBUTE[item])
    wish = {
        "type": 0,
        "attributes": attributes[:2],
        "colour": colour,
        "size": size,
        "limit": catalogue.PRICE[item],
    }
    changed = {
        "type": {"group": 1, "other": 4}.get(changes.get("type"), 0),
        "attributes": {1: [attributes[0], others[0]], 0: others[:2]}.get(
            changes.get("attributes"), attributes[:2]
        ),
        "colour": colour + changes.get("colour", 0),
        "size": size + changes.get("size", 0),
        "limit": catalogue.PRICE[item] + changes.get("limit", 0),
    }
    assert set(changes) <= set(wish)
    task = rules.Task(**{k: jnp.asarray(v, jnp.int32) for k, v in changed.items()})
    return float(SCORE(task, jnp.int32(item), jnp.int32(colour), jnp.int32(size)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1),
        ({"limit": 3}, 1),
        ({"limit": -1}, 4 / 5),
        ({"colour": 1}, 4 / 5),
        ({"size": 1}, 4 / 5),
        ({"colour": 1, "size": 1}, 3 / 5),
        ({"attributes": 1}, 4 / 5),
        ({"attributes": 0}, 3 / 5),
        ({"attributes": 0, "colour": 1, "size": 1, "limit": -1}, 0),
        ({"type": "group"}, 1 / 2),
        ({"type": "other"}, 1 / 10),
        ({"type": "group", "attributes": 1}, 4 / 5 / 2),
    ],
)
def test_the_score_is_webshops(changes, expected):
    assert score_by_hand(changes) == pytest.approx(expected)


# ---- buying -------------------------------------------------------------------


def test_buying_what_is_wanted_gives_ten():
    state, colour, size = at_item()
    after, _, reward, over = act(state, f"click {colour}", f"click {size}", "click buy")
    assert float(reward) == 10 and bool(over)
    assert ENV.outcome(after) == {"success": 1, "score": 1}


def test_buying_the_wrong_colour_gives_nothing_but_a_score():
    state, colour, size = at_item()
    offered = np.array(catalogue.COLOURS)[catalogue.OFFERS_COLOUR[int(state.item)]]
    wrong = next(c for c in offered if c != colour)
    script = (f"click {colour}", f"click {wrong}", f"click {size}", "click buy")
    after, _, reward, over = act(state, *script)  # the colour chosen last counts
    assert float(reward) == 0 and bool(over)
    outcome = ENV.outcome(after)
    assert outcome["success"] == 0 and outcome["score"] == pytest.approx(4 / 5)


def test_options_must_be_chosen():
    after, _, reward, over = act(at_item()[0], "click buy")
    assert float(reward) == 0 and bool(over)
    assert ENV.outcome(after)["score"] == pytest.approx(3 / 5)


def test_nothing_bought_scores_nothing():
    state, colour, size = at_item()
    state, _, reward, over = act(state, f"click {colour}", f"click {size}")
    assert not reward and not over
    assert ENV.outcome(state) == {"success": 0, "score": 0}


def test_a_finished_episode_stays_as_it_is():
    state, observation, *_ = act(at_item()[0], "click buy")
    for text in ("click back", "hmm"):
        after, again, reward, over = act(state, text)
        jax.tree.map(np.testing.assert_array_equal, after, state)
        np.testing.assert_array_equal(again, observation)
        assert float(reward) == 0 and bool(over)


# ---- pages --------------------------------------------------------------------


def test_pages_lead_to_each_other():
    state, *_ = act(start(), "search lamp")
    found = state.results.tolist()
    assert (int(state.page), int(state.results_page)) == (rules.RESULTS, 0)
    state, *_ = act(state, "click next")
    assert rules.shown(state).tolist() == found[5:]
    opened, *_ = act(state, "click i2")
    assert (int(opened.page), int(opened.item)) == (rules.ITEM, found[6])
    back, *_ = act(opened, "click back")
    assert (int(back.page), int(back.results_page)) == (rules.RESULTS, 1)
    first, *_ = act(back, "click prev")
    assert rules.shown(first).tolist() == found[:5]
    again, *_ = act(back, "click back", "search hat")
    assert int(again.results_page) == 0
    assert (catalogue.TYPE[again.results] == catalogue.TYPES.index("hat")).all()


def test_options_are_forgotten_when_an_item_is_opened():
    state, colour, size = at_item()
    chosen, *_ = act(state, f"click {colour}", f"click {size}")
    assert chosen.colour == TASK.colour and chosen.size == TASK.size
    state, *_ = act(chosen, "click back", "click i1")
    assert (state.colour, state.size) == (rules.NO_COLOUR, rules.NO_SIZE)


def unavailable():
    state = at_item()[0]
    lacks = np.array(catalogue.COLOURS)[~catalogue.OFFERS_COLOUR[int(state.item)]]
    results, *_ = act(start(), "search lamp")
    second, *_ = act(results, "click next")
    starts = (*("i1", "red", "small"), *("next", "prev", "back", "buy"))
    yield from ((start(), f"click {word}") for word in starts)
    yield from ((results, f"click {w}") for w in ("prev", "buy", "red", "huge"))
    yield results, "search lamp"
    yield second, "click next"
    yield state, "search lamp"
    yield from ((state, f"click {w}") for w in ("i1", "next", "prev", lacks[0]))


def test_what_is_not_on_the_page_has_no_effect_and_no_penalty():
    for state, text in unavailable():
        after, observation, reward, over = act(state, text)
        assert float(reward) == 0 and not over, text
        assert "Nothing happens." in ENV.describe(observation)
        same_but_for(after, state, last_result=jnp.int32(rules.NOTHING_HAPPENS))


# ---- responses ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "query"),
    [
        ("search lamp <eos>", ("lamp",)),
        (
            "hmm ; search lamp soft warm red huge <eos>",
            ("lamp", "soft", "warm", "red", "huge"),
        ),
        ("click buy ; search hat hat <eos> ; lamp", ("hat", "hat")),
    ],
)
def test_searches(response, query):
    action = ACTION_OF(tokens(response))
    assert int(action.kind) == rules.SEARCH
    np.testing.assert_array_equal(action.query, query_of(*query))


@pytest.mark.parametrize("word", rules.CLICKS)
def test_clicks(word):
    action = ACTION_OF(tokens(f"hmm ; click {word} <eos>"))
    assert int(action.kind) == rules.CLICK
    assert rules.CLICKS[int(action.click)] == word


@pytest.mark.parametrize(
    "response",
    [
        "<eos>",
        "search <eos>",
        "click <eos>",
        "search lamp",  # cut before <eos>
        "search lamp lamp lamp lamp lamp lamp <eos>",  # six words
        "search p3 <eos>",  # prices are not searched for
        "search lamp i1 <eos>",
        "search lamp <pad> soft <eos>",
        "click lamp <eos>",
        "click i1 i1 <eos>",
        "hmm click buy <eos>",  # thought without ';'
        "buy <eos>",
        "click s15 <eos>",
        "search s15 <eos>",
    ],
)
def test_what_is_no_action_costs_a_tenth(response):
    before = at_item()[0]
    after, observation, reward, over = STEP(before, tokens(response))
    assert float(reward) == pytest.approx(-0.1) and not over
    assert "not recognised" in ENV.describe(observation)
    same_but_for(after, before, last_result=jnp.int32(rules.UNRECOGNISED))


def test_saying_and_reading_are_inverse():
    keys = jax.random.split(jax.random.key(1), 2000)
    actions = jax.jit(jax.vmap(expert.stray_action))(keys)
    say = jax.jit(jax.vmap(lambda a, k: language.say(a, k, 4)))
    responses = say(actions, keys)
    assert ((responses == EOS).sum(axis=1) == 1).all()
    again = jax.jit(jax.vmap(language.action_of))(responses)
    jax.tree.map(np.testing.assert_array_equal, again, actions)
    kinds = np.bincount(actions.kind, minlength=3)
    assert 60 < kinds[rules.SEARCH] < 145 and not kinds[rules.MALFORMED]
    clicks = np.bincount(actions.click[actions.kind == rules.CLICK])
    assert len(clicks) == len(rules.CLICKS) and clicks.min() > 55  # 100, sd 10


# ---- expert and golden steps ---------------------------------------------------


def test_the_expert_knows_only_what_is_in_sight():
    tasks = ENV.panel("unseen")

    def episode(task, key):
        def body(state, key):
            after = rules.apply(state, expert.noisy_action(state, key, 0.5))
            return after, state

        keys = jax.random.split(key, ENV.max_steps)
        return jax.lax.scan(body, rules.initial_state(task), keys)[1]

    keys = jax.random.split(jax.random.key(4), 512)
    states = jax.jit(jax.vmap(episode))(tasks, keys)
    states = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), states)
    keys = jax.random.split(jax.random.key(5), len(states.page))
    others = jax.jit(jax.vmap(hidden_variant))(states, keys)
    clean = jax.jit(jax.vmap(expert.clean_action))
    jax.tree.map(np.testing.assert_array_equal, clean(others), clean(states))


def test_five_steps_are_enough_for_every_item_there_is():
    """Its own type and attributes as the query put an item on the first page."""
    queries = np.concatenate(
        [
            catalogue.TYPE[:, None],
            len(catalogue.TYPES) + catalogue.ITEM_ATTRIBUTES,
        ],
        axis=1,
    )
    found = np.asarray(jax.jit(jax.vmap(catalogue.search))(queries))
    assert (found[:, :5] == np.arange(catalogue.NUM_ITEMS)[:, None]).any(axis=1).all()


# ---- tasks --------------------------------------------------------------------


@pytest.mark.parametrize("panel", envs.PANELS)
def test_every_task_can_be_solved_and_held_out_items_are_unseen_only(panel):
    would_do = np.asarray(jax.jit(jax.vmap(rules.satisfying))(ENV.panel(panel)))
    assert would_do.any(axis=1).all()
    held_out = would_do & panels.HELD_OUT
    assert (held_out == (would_do if panel == "unseen" else False)).all()
    assert (would_do.any(axis=0)).sum() > 80  # many different items


def test_held_out_items_leave_every_word_in_training():
    assert 100 < panels.HELD_OUT.sum() < 156  # 128 expected, sd 11
    known = catalogue.MENTIONS[:-1, ~panels.HELD_OUT]
    assert known.sum(axis=1).min() > 30
