"""The paper search by hand: what a search finds, what it pays, what ends it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import envs
from steppo_jax.envs.paper_search import PaperSearch, expert, graph, language, rules
from tests.envs.paper_search_cases import hidden_variant

ENV = PaperSearch()
STEP = jax.jit(ENV.step)
RESET = jax.jit(ENV.reset)
QUERY = jax.tree.map(lambda x: x[0], ENV.panel("train"))
WORDS = [graph.TOPICS[t] for t in np.asarray(QUERY.topics) if t < graph.NO_TOPIC]


def start(task=QUERY):
    return RESET(jax.random.key(0), task)[0]


def act(state, *texts):
    """Says each text in turn: (state, observation, reward, terminated) at the end."""
    for text in texts:
        state, *rest = STEP(state, ENV.parse(text))
    return state, *rest


def found_by_hand(words):
    """Papers of a search, best first, counted with sets."""
    scored = []
    for paper in range(graph.NUM_PAPERS):
        known = {t for t in range(graph.NUM_TOPICS) if graph.INDEXED[t, paper]}
        score = len(known & {graph.TOPICS.index(w) for w in words})
        if score:
            scored.append((-score, -int(graph.ORDER[paper]), paper))
    return [paper for _, _, paper in sorted(scored)[: rules.NUM_RESULTS]]


def relevance_by_hand(papers):
    query = set(np.asarray(QUERY.topics).tolist()) - {graph.NO_TOPIC}
    of = {p: len(query & set(graph.PAPER_TOPICS[p].tolist())) for p in papers}
    return {p: n / len(query) for p, n in of.items() if n}


def pool(state):
    return set(np.flatnonzero(state.found).tolist())


# ---- the graph ---------------------------------------------------------------


def test_the_graph_is_what_it_says():
    papers = np.arange(graph.NUM_PAPERS)
    assert len(set(graph.TOPICS)) == 64
    assert not set(graph.TOPICS) & set(language.WORDS[: -graph.NUM_TOPICS])
    ordered = np.sort(graph.PAPER_TOPICS, axis=1)
    assert (np.diff(ordered) > 0).all()
    assert (graph.HAS.sum(axis=0) == 3).all()
    assert (graph.INDEXED.sum(axis=0) == 2).all()
    assert not (graph.INDEXED & ~graph.HAS).any()
    assert sorted(graph.ORDER.tolist()) == papers.tolist()
    assert (np.diff(np.sort(graph.CITED, axis=1)) > 0).all()
    assert (papers[:, None] != graph.CITED).all()
    shared = (graph.HAS[:, :, None] & graph.HAS[:, graph.CITED]).sum(axis=0)
    assert (shared >= 1).mean() > 0.99 and (shared >= 2).mean() > 0.8


def test_sizes_of_answer_sets_are_counted_right():
    for panel in envs.PANELS:
        tasks = ENV.panel(panel)
        counted = np.asarray(jax.vmap(rules.answers)(tasks)).sum(axis=1)
        table = graph.NUM_ANSWERS[tuple(np.asarray(tasks.topics).T)]
        np.testing.assert_array_equal(counted, table)
        assert counted.min() >= 4 and counted.max() <= 24


# ---- rewards -----------------------------------------------------------------


def test_a_search_pays_for_the_three_best_new_papers():
    state, _, reward, terminated = act(start(), f"search {' '.join(WORDS)}")
    relevance = relevance_by_hand(found_by_hand(WORDS))
    assert pool(state) == set(relevance)
    best = sorted(relevance.values(), reverse=True)[:3]
    np.testing.assert_allclose(reward, sum(best), rtol=1e-6)
    assert reward > 0 and not terminated


def test_papers_found_before_are_not_paid_again():
    state, *_ = act(start(), f"search {' '.join(WORDS)}")
    after, _, reward, _ = act(state, f"search {WORDS[0]}")
    relevance = relevance_by_hand(found_by_hand(WORDS[:1]))
    new = {p: r for p, r in relevance.items() if p not in pool(state)}
    assert pool(after) == pool(state) | set(new)
    best = sorted(new.values(), reverse=True)[:3]
    np.testing.assert_allclose(reward, sum(best), rtol=1e-6)


def test_expanding_gives_the_citations_and_drops_the_irrelevant():
    state, *_ = act(start(), f"search {' '.join(WORDS)}")
    paper = int(rules.slots(state)[0][1])
    after, _, reward, _ = act(state, "expand e2")
    relevance = relevance_by_hand(graph.CITED[paper].tolist())
    new = {p: r for p, r in relevance.items() if p not in pool(state)}
    assert pool(after) == pool(state) | set(new)
    assert np.flatnonzero(after.expanded).tolist() == [paper]
    best = sorted(new.values(), reverse=True)[:3]
    np.testing.assert_allclose(reward, sum(best), rtol=1e-6)


@pytest.mark.parametrize(
    "texts",
    [
        (f"search {' '.join(WORDS)}", f"search {' '.join(WORDS[::-1])}"),
        (f"search {WORDS[0]}", f"search {WORDS[0]} {WORDS[0]}"),
        ("expand e1",),  # nothing is shown yet
        (f"search {WORDS[0]}", "expand e5"),  # nothing is expanded yet
        (f"search {WORDS[0]}", "expand e1", "expand e5"),  # expanded already
    ],
)
def test_useless_actions_cost_half_a_point(texts):
    before = act(start(), *texts[:-1])[0] if texts[:-1] else start()
    after, observation, reward, terminated = act(before, texts[-1])
    assert float(reward) == -0.5 and not terminated
    assert pool(after) == pool(before)
    np.testing.assert_array_equal(after.expanded, before.expanded)
    assert "cost half a point" in ENV.describe(observation)


# ---- ends --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("stop", "", "search", "search e1", "expand", "expand e1 e2", "stop stop"),
        *("search image image image image", "expand image", "image"),
    ],
)
def test_stopping_and_malformed_responses_end_the_episode(text):
    state, *_ = act(start(), f"search {WORDS[0]}")
    after, again, reward, terminated = act(state, text)
    assert not reward and terminated and pool(after) == pool(state)
    final, observation, reward, terminated = act(after, f"search {WORDS[-1]}")
    jax.tree.map(np.testing.assert_array_equal, final, after)
    np.testing.assert_array_equal(observation, again)
    assert not reward and terminated


def test_recall_precision_and_f1_by_hand():
    wanted = np.flatnonzero(rules.answers(QUERY)).tolist()
    others = np.flatnonzero(~np.asarray(rules.answers(QUERY)))[:3].tolist()
    for number in (0, len(wanted) // 2, -(-len(wanted) // 2), len(wanted)):
        found = jnp.zeros(graph.NUM_PAPERS, bool)
        found = found.at[jnp.array([*wanted[:number], *others])].set(True)
        got = ENV.outcome(start().replace(found=found))
        recall, precision = number / len(wanted), number / (number + 3)
        np.testing.assert_allclose(got["recall"], recall, rtol=1e-6)
        np.testing.assert_allclose(got["precision"], precision, rtol=1e-6)
        f1 = 2 * recall * precision / (recall + precision) if number else 0
        np.testing.assert_allclose(got["f1"], f1, rtol=1e-6)
        assert bool(got["success"]) == (recall >= 0.5)


# ---- expert, settings --------------------------------------------------------


def test_the_expert_knows_only_what_is_shown():
    state, *_ = act(start(), f"search {' '.join(WORDS)}", "expand e1")
    keys = jax.random.split(jax.random.key(1), 32)
    clean = expert.clean_action(state)
    others = jax.vmap(lambda k: expert.clean_action(hidden_variant(state, k)))(keys)
    expected = jax.tree.map(lambda x: jnp.repeat(x[None], 32, axis=0), clean)
    jax.tree.map(np.testing.assert_array_equal, others, expected)


@pytest.mark.parametrize("setting", ["max_steps", "think_tokens", "on_time_limit"])
def test_impossible_settings_are_named(setting):
    with pytest.raises(ValueError, match=rf"^{setting}: -1 is not"):
        envs.make("paper_search", **{setting: -1})
