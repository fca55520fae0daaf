"""What the policy sees: a template of fixed slots, and the English of it.

Results show five items a page, so that the whole stays short. Each kind of fact
has its own places; a slot without anything to say holds ".". An item page puts
its item where results put their first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.shop import catalogue, language, rules
from steppo_jax.envs.shop.language import ID
from steppo_jax.envs.template import Template
from steppo_jax.vocabulary import EOS, PAD, Vocabulary

_ITEM_WIDTH = catalogue.ATTRIBUTES_PER_ITEM + 2  # type, attributes, price
# (slot, number of words); a slot named like a word is that word
TEMPLATE = Template(
    (
        ("<bos>", 1),
        ("goal", 1),
        ("goal type", 1),
        ("goal attributes", 2),
        ("goal colour", 1),
        ("goal size", 1),
        ("goal limit", 1),
        ("step", 1),
        ("steps taken", 1),
        ("page", 1),
        ("page name", 1),
        ("query", 1),
        ("query words", rules.QUERY_LENGTH),
        ("results page", 1),
        ("see", 1),
        ("items", rules.PER_PAGE * _ITEM_WIDTH),
        ("offers", 1),
        ("offered colours", len(catalogue.COLOURS)),  # each has its own place
        ("offered sizes", len(catalogue.SIZES)),
        ("chosen", 1),
        ("chosen colour", 1),
        ("chosen size", 1),
        ("last", 1),
        ("last action", language.ACTION_LENGTH - 1),
        ("last result", 1),
        ("act", 1),
    )
)
LENGTH = TEMPLATE.length
# Two observations that differ in these slots only show the same situation.
_NOT_SITUATION = ("steps taken", "last action", "last result")


def _ids(words) -> np.ndarray:
    """[words] int32"""
    return np.array([ID[word] for word in words], np.int32)


_EMPTY = ID[language.EMPTY]
_TYPES, _PRICES = _ids(catalogue.TYPES), _ids(catalogue.PRICES)
_ATTRIBUTES = _ids(catalogue.ATTRIBUTES)
_COLOURS = _ids([*catalogue.COLOURS, language.EMPTY])
_SIZES = _ids([*catalogue.SIZES, language.EMPTY])
_QUERY = _ids([*catalogue.QUERY_WORDS, language.EMPTY])
_PAGES, _RESULTS = _ids(rules.PAGES), _ids(language.RESULTS)
_RESULTS_PAGES = _ids(language.RESULTS_PAGES)
# [items, _ITEM_WIDTH] what results say of each item
_ITEMS = np.concatenate(
    [
        _TYPES[catalogue.TYPE][:, None],
        _ATTRIBUTES[catalogue.ITEM_ATTRIBUTES],
        _PRICES[catalogue.PRICE][:, None],
    ],
    axis=1,
)


def observe(state: rules.State, max_steps: int) -> jax.Array:
    """[LENGTH] int32, the observation of a state."""
    task, items = state.task, jnp.asarray(_ITEMS)
    on_results = state.page == rules.RESULTS
    on_item = (state.page == rules.ITEM) | (state.page == rules.BOUGHT)
    one = jnp.full((rules.PER_PAGE, _ITEM_WIDTH), _EMPTY).at[0].set(items[state.item])
    listed = jnp.where(on_results, items[rules.shown(state)], one)
    colours = jnp.asarray(catalogue.OFFERS_COLOUR)[state.item] & on_item
    sizes = jnp.asarray(catalogue.OFFERS_SIZE)[state.item] & on_item
    said = language.tokens(state.last_action)[:-1]
    has_query = state.query[0] != catalogue.NO_WORD
    results_page = jnp.asarray(_RESULTS_PAGES)[state.results_page]
    value = {
        "goal type": jnp.asarray(_TYPES)[task.type],
        "goal attributes": jnp.asarray(_ATTRIBUTES)[task.attributes],
        "goal colour": jnp.asarray(_COLOURS)[task.colour],
        "goal size": jnp.asarray(_SIZES)[task.size],
        "goal limit": jnp.asarray(_PRICES)[task.limit],
        "steps taken": ID[language.step_word(0)]
        + jnp.minimum(state.num_steps, max_steps),
        "page name": jnp.asarray(_PAGES)[state.page],
        "query words": jnp.asarray(_QUERY)[state.query],
        "results page": jnp.where(has_query, results_page, _EMPTY),
        "items": jnp.where(on_results | on_item, listed, _EMPTY),
        "offered colours": jnp.where(colours, _COLOURS[:-1], _EMPTY),
        "offered sizes": jnp.where(sizes, _SIZES[:-1], _EMPTY),
        "chosen colour": jnp.where(
            on_item, jnp.asarray(_COLOURS)[state.colour], _EMPTY
        ),
        "chosen size": jnp.where(on_item, jnp.asarray(_SIZES)[state.size], _EMPTY),
        "last action": jnp.where((said == EOS) | (said == PAD), _EMPTY, said),
        "last result": jnp.asarray(_RESULTS)[state.last_result],
    }
    return TEMPLATE.fill(value, ID)


def state_key(observation: jax.Array) -> jax.Array:
    """[] uint32, hash of the situation: not of when it was reached, nor by what."""
    return hashing.fold(TEMPLATE.without(observation, _NOT_SITUATION))


def describe(observation, words: Vocabulary) -> str:
    """English of an observation [LENGTH], word for word what the tokens say."""
    seen = TEMPLATE.read(observation, words)

    def said(*names: str) -> str:
        every = (w for name in names for w in seen[name])
        return " ".join(w for w in every if w != language.EMPTY)

    items = [" ".join(row) for row in np.reshape(seen["items"], (-1, _ITEM_WIDTH))]
    page, limit = said("page name"), said("goal limit")
    lines = [
        f"Your task: buy a {said('goal attributes', 'goal type')}, "
        f"{said('goal colour')}, {said('goal size')}, for {limit} or less.",
        f"Steps taken: {said('steps taken')[1:]}.",
        f"Last search: {said('query words') or 'none'}"
        + (f" ({said('results page')} page)." if said("results page") else "."),
    ]
    if page == "start":
        lines.append("You are on the search page.")
    elif page == "results":
        lines.append("You see these results:")
        lines += [f"{slot}: {text}" for slot, text in zip(rules.SLOTS, items)]
    else:
        begin = "You bought" if page == "bought" else "You look at"
        chosen = said("chosen colour") or "no colour", said("chosen size") or "no size"
        lines += [
            f"{begin}: {items[0]}.",
            f"Offered: {said('offered colours')}, {said('offered sizes')}.",
            f"Chosen: {chosen[0]}, {chosen[1]}.",
        ]
    last = {
        "ok": f"Your last action was: {said('last action')}.",
        "nothing": f"Your last action was: {said('last action')}. Nothing happens.",
        "unrecognised": "Your last response was not recognised as an action.",
    }
    return "\n".join(lines + [last[r] for r in seen["last result"] if r in last])


def render(state: rules.State, words: Vocabulary, max_steps: int) -> str:
    """The observation, and what is on no page: all results, and what would do."""
    found = [int(i) for i in state.results]
    right = np.flatnonzero(np.asarray(rules.satisfying(state.task))).tolist()
    searched = int(state.query[0]) != catalogue.NO_WORD
    return "\n".join(
        [
            describe(np.asarray(observe(state, max_steps)), words),
            f"(hidden) all results: {found if searched else 'none'}",
            f"(hidden) items that would do: {right}",
            f"(hidden) score: {float(rules.task_score(state)):.3f}",
        ]
    )
