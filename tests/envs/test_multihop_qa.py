"""multihop_qa by hand: episodes word for word, the search against a slow oracle."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import envs
from steppo_jax.envs import hashing
from steppo_jax.envs.multihop_qa import (
    MultihopQA,
    expert,
    index,
    language,
    panels,
    rules,
    world,
)
from steppo_jax.envs.multihop_qa.world import NONE

ENV = MultihopQA()
STEP = jax.jit(ENV.step)
EXPERT = jax.jit(ENV.expert)
SEARCH = jax.jit(jax.vmap(index.search))


def name(words):
    return world.NAMES.index(tuple(words.split()))


def task_of(hops, names, relations, answer):
    """A task in words; names and relations one after the other."""
    entities = [name(n) for n in names] + [NONE] * (2 - len(names))
    chain = [world.RELATION_NAMES.index(r) for r in relations.split()]
    chain += [NONE] * (rules.MAX_HOPS - len(chain))
    return rules.Task(
        jnp.int32(hops), jnp.array(entities), jnp.array(chain), jnp.int32(name(answer))
    )


BRIDGE = task_of(2, ["yellow lantern"], "starring works_for", "orion media")
COMPARISON = task_of(
    0, ["yellow lantern", "silent river"], "released", "yellow lantern"
)


def start(task=BRIDGE):
    return jax.jit(ENV.reset)(jax.random.key(0), task)


def act(state, *texts):
    """Says each text in turn: (state, observation, reward, terminated) at the end."""
    for text in texts:
        state, *rest = STEP(state, ENV.parse(text))
    return state, *rest


# ---- the facts ---------------------------------------------------------------


def test_the_base_of_facts():
    assert len(world.FACTS) == len({tuple(f) for f in world.FACTS.tolist()}) == 4456
    assert isinstance(world.FACTS, np.ndarray)  # importing touched no device
    words = [w for t in world.TYPES for w in world.FIRST_WORDS[t]]
    words += [w for t in world.TYPES[:-1] for w in world.SECOND_WORDS[t]]
    assert len(words) == len(set(words))  # a word tells its type and its place
    for number, (_, head, tail) in enumerate(world.RELATIONS):
        heads, _, tails = world.FACTS[world.FACTS[:, 1] == number].T
        assert {world.TYPES[world.TYPE_OF[e]] for e in heads} == {head}
        assert {world.TYPES[world.TYPE_OF[e]] for e in tails} == {tail}
        assert len(set(heads.tolist())) == len(heads)  # one fact for each head
    capital, in_country = map(world.RELATION_NAMES.index, ("capital", "in_country"))
    for country in np.flatnonzero(world.TAIL[:, capital] != NONE):
        assert world.TAIL[world.TAIL[country, capital], in_country] == country


def test_the_hash_takes_numpy_and_jax_alike():
    x = np.arange(100, dtype=np.uint32)
    assert isinstance(hashing.mix(x), np.ndarray)
    np.testing.assert_array_equal(hashing.mix(x), hashing.mix(jnp.asarray(x)))


# ---- the search --------------------------------------------------------------


def slow_search(entity, relations):
    """Over every fact of the corpus, in plain Python."""
    kind = world.TYPE_OF[entity]
    first, second = world.NAMES[entity]
    firsts, seconds = (
        w[world.TYPES[kind]] for w in (world.FIRST_WORDS, world.SECOND_WORDS)
    )
    next_first = firsts[(firsts.index(first) + 1) % len(firsts)]
    next_second = seconds[(seconds.index(second) + 1) % len(seconds)]
    similar = (next_first, second) if entity % 2 == 0 else (first, next_second)
    near = [entity, world.NAMES.index(similar)]
    scored = []
    for number in np.flatnonzero(
        np.isin(world.FACTS[:, 0], near) | (world.FACTS[:, 2] == entity)
    ):
        head, relation, tail = world.FACTS[number]
        title = 20 if head == entity else 10 if head in near else 0
        score = max(title, 12 if tail == entity else 0)
        order = hashing.mix(np.array([number], np.uint32))[0]
        scored.append((-score - 8 * (relation in relations), order, number))
    return [number for *_, number in sorted(scored)[:4]]


def test_search_finds_what_reading_every_fact_finds():
    rng = np.random.default_rng(0)
    entities = rng.integers(0, world.YEAR_0, 300)
    relations = rng.integers(0, world.NUM_RELATIONS, (300, 2))
    relations[:150, 1] = NONE
    found = SEARCH(jnp.asarray(entities), jnp.asarray(relations))
    for row, entity, said in zip(np.asarray(found), entities, relations):
        assert row.tolist() == slow_search(entity, said)


def test_a_search_for_a_fact_has_it_first_and_others_after_it():
    facts = world.FACTS
    found = np.asarray(SEARCH(jnp.asarray(facts[:, 0]), jnp.asarray(facts[:, 1:2])))
    right = found == np.arange(len(facts))[:, None]
    assert right[:, 0].all()
    # Titles with fewer than four facts leave room for another title's same relation.
    same_relation = (facts[found, 1] == facts[:, 1:2]).sum(axis=1)
    few = np.isin(world.TYPE_OF[facts[:, 0]], [2, 3, 4])
    assert (same_relation[few] >= 2).all() and (same_relation[~few] == 1).mean() > 0.5
    mentioned = (facts[found, 2] == facts[:, :1]).any(axis=1)
    assert mentioned.any()  # and other facts mention the name


def test_a_relation_that_does_not_exist_finds_what_is_nearest():
    state, _ = start()
    state, *_ = act(state, "search orion media born_in")
    found = world.FACTS[np.asarray(state.passages[0])]
    assert (found[:, 0] == name("orion media")).sum() == 3  # all under that title


def test_nothing_is_found_for_nothing():
    nothing = jnp.full((1, 1), NONE)
    assert (SEARCH(nothing[0], nothing) == NONE).all()


# ---- episodes ----------------------------------------------------------------

FIRST_PAGE = """Found for yellow lantern:
- yellow lantern starring felix lopez.
- yellow lantern written_by elena meyer.
- yellow lantern directed_by leo lopez.
- yellow lantern released 1999."""
NEXT_PAGE = """Found for felix lopez works_for:
- felix lopez works_for orion media.
- felix lopez born_in lower stead.
- felix lopez born 1980.
- felix lopez spouse jonas novak."""


def test_a_chain_word_for_word():
    state, observation = start()
    question = (
        "Question: start from yellow lantern and follow starring, then works_for. "
        "Where do you arrive?"
    )
    assert ENV.describe(observation) == "\n".join(
        [question, "Steps taken: 0.", FIRST_PAGE]
    )
    assert ENV.vocabulary.decode(observation) == (
        f"<bos> query . . . found {'. ' * 20}query yellow lantern . found yellow "
        "lantern starring felix lopez yellow lantern written_by elena meyer yellow "
        "lantern directed_by leo lopez yellow lantern released 1999 . "
        "follow yellow lantern . . starring works_for . . s0 act"
    )
    state, observation, reward, over = act(state, "search felix lopez works_for")
    assert ENV.describe(observation) == "\n".join(
        [question, "Steps taken: 1.", NEXT_PAGE, FIRST_PAGE]
    )
    assert not over and reward == 0
    state, _, reward, over = act(state, "hmm now ; answer orion media")
    assert over and reward == 1
    assert ENV.outcome(state) == {"success": 1, "answered": 1}
    again, _, reward, over = act(state, "answer orion media")
    assert over and reward == 0  # paid once; a finished episode stays
    jax.tree.map(np.testing.assert_array_equal, state, again)


def test_a_comparison_with_two_queries():
    state, observation = start(COMPARISON)
    assert ENV.describe(observation).startswith(
        "Question: which is later by released, yellow lantern or silent river?"
    )
    said = EXPERT(state, jax.random.key(0))
    assert ENV.vocabulary.decode(said).endswith(
        "search yellow lantern released silent river released <eos>"
    )
    state, observation, *_ = STEP(state, said)
    text = ENV.describe(observation)
    assert "Found for yellow lantern released:" in text
    assert "Found for silent river released:" in text
    assert "- yellow lantern released 1999." in text
    assert "- silent river released 1975." in text
    said = EXPERT(state, jax.random.key(0))
    assert ENV.vocabulary.decode(said).endswith("answer yellow lantern <eos>")
    _, _, reward, over = STEP(state, said)
    assert over and reward == 1


@pytest.mark.parametrize(
    "text",
    [
        "search felix lopez",  # no relation
        "search lopez felix born_in",
        "search felix lantern born_in",  # words of two types
        "search felix lopez born_in felix lopez",
        "search felix lopez born_in felix lopez born_in hmm",
        "answer felix",
        "answer felix lopez born_in",
        "felix lopez",
        "search 1987 . born",
    ],
)
def test_what_is_no_action_ends_the_episode_with_nothing(text):
    state, _, reward, over = act(start()[0], text)
    assert over and reward == 0
    assert ENV.outcome(state) == {"success": 0, "answered": 0}


def test_a_wrong_answer_ends_the_episode_with_nothing():
    state, _, reward, over = act(start()[0], "answer nova foods")
    assert over and reward == 0
    assert ENV.outcome(state) == {"success": 0, "answered": 1}


def test_two_queries_replace_what_is_in_sight_and_one_keeps_the_newest():
    state, *_ = act(start()[0], "search anna adler born old bourne mayor")
    assert state.queries[:, 0].tolist() == [name("anna adler"), name("old bourne")]
    state, *_ = act(state, "search felix lopez born_in")
    assert state.queries[:, 0].tolist() == [name("felix lopez"), name("anna adler")]


def test_every_action_survives_words():
    rng = np.random.default_rng(1)
    entity = rng.integers(0, world.YEAR_0, (200, 2, 1))
    queries = np.concatenate(
        [entity, rng.integers(0, world.NUM_RELATIONS, (200, 2, 1))], axis=2
    )
    queries[::2, 1] = NONE
    answers = np.where(np.arange(200) % 5 == 0, entity[:, 0, 0], NONE)
    queries[::5] = NONE
    said = jax.vmap(language.say_tokens)(jnp.asarray(queries), jnp.asarray(answers))
    read = jax.jit(jax.vmap(language.action_of))(said)
    np.testing.assert_array_equal(read[0], queries)
    np.testing.assert_array_equal(read[1], answers)


# ---- tasks -------------------------------------------------------------------


def facts_of(task):
    """[(head, relation)] that a question needs, walked in plain Python."""
    at, chain = int(task.entities[0]), [int(r) for r in task.relations if r != NONE]
    if task.hops == 0:
        return [(int(e), chain[0]) for e in task.entities]
    walked = []
    for relation in chain:
        walked.append((at, relation))
        at = int(world.TAIL[at, relation])
    assert at == task.answer
    return walked


def tasks(panel):
    stacked = jax.tree.map(np.asarray, ENV.panel(panel))
    return [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(512)]


def test_what_each_panel_asks():
    held, odd = panels._IS_HELD_OUT, panels.HELD_OUT_RELATIONS
    kinds = collections.defaultdict(collections.Counter)
    for panel in ENV.panels:
        for task in tasks(panel):
            kinds[panel][int(task.hops)] += 1
            needs = facts_of(task)
            asked = needs if task.hops == 0 else needs[-1:]
            is_odd = any(world.RELATION_NAMES[r] in odd for _, r in needs)
            assert is_odd == (panel == "ood_relations")
            if panel in envs.PANELS:
                assert all(held[e] == (panel == "unseen") for e, _ in asked)
    for panel in envs.PANELS:
        assert set(kinds[panel]) == {0, 2} and kinds[panel][0] > 20
    assert set(kinds["ood_relations"]) == {2}
    assert set(kinds["ood_hops"]) == {3, 4}


@pytest.mark.parametrize("panel", ENV.panels)
def test_no_search_for_one_fact_shows_a_later_one(panel):
    """So golden steps are the fewest for a reader: every hop costs a search."""
    for task in tasks(panel)[:128]:
        needs = facts_of(task)
        assert len(set(needs)) == len(needs)
        chain = [r for r in task.relations if r != NONE]
        for i, (entity, relation) in enumerate(needs[:-1]):
            found = slow_search(entity, chain if i == 0 else [relation])
            shown = {tuple(f) for f in world.FACTS[found, :2].tolist()}
            assert (entity, relation) in shown
            assert not shown & set(needs[i + 1 :])
            if task.hops == 0:
                break


def test_golden_steps_are_the_experts_on_every_panel():
    """Searches after the first one, which is made for the question, and the answer."""

    def play(task):
        state, _ = ENV.reset(jax.random.key(0), task)

        def body(state, key):
            after, _, reward, _ = ENV.step(state, ENV.expert(state, key))
            return after, (reward, ~state.over)

        keys = jax.random.split(jax.random.key(1), ENV.max_steps)
        return jax.lax.scan(body, state, keys)[1]

    play_all = jax.jit(jax.vmap(play))
    for panel in ENV.panels:
        task = ENV.panel(panel)
        reward, live = play_all(task)
        golden = jax.vmap(expert.golden_steps)(task)
        assert (reward.sum(axis=1) == 1).all()  # ood ones within the limit too
        np.testing.assert_array_equal(live.sum(axis=1), golden)
        np.testing.assert_array_equal(golden, np.where(task.hops == 0, 2, task.hops))


def test_vocabulary_is_small():
    assert len(ENV.vocabulary) == 214
    assert len(MultihopQA(max_steps=9).vocabulary) == 218
